//! Cancelling and cleaning up: by destructors, with awaits by a token, and at ctrl-c.
//!
//! ```sh
//! cargo run --example cleanup
//! ```

use std::time::Duration;

use annulus::join::{CancelToken, cancel_gracefully, shield};
use annulus::time::sleep;

/// Prints a line when it is dropped.
struct Cleans(&'static str);

impl Drop for Cleans {
    fn drop(&mut self) {
        println!("{}: cleaned up", self.0);
    }
}

#[annulus::main(ctrl_c = true)]
async fn main() {
    // A cancelled task ends where it waits, and its destructors run.
    let task = annulus::spawn(async {
        let _cleans = Cleans("by a destructor");
        sleep(Duration::from_secs(3600)).await;
    });
    annulus::yield_now().await;
    task.cancel();
    println!("by a destructor: {}", task.await.unwrap_err());

    // A destructor cannot await. A task that must is asked to end by a token, and has a second to
    // do so.
    let token = CancelToken::new();
    let its = token.clone();
    let task = annulus::spawn(async move {
        its.cancelled().await;
        sleep(Duration::from_millis(5)).await;
        println!("with awaits: cleaned up");
        "done"
    });
    let outcome = cancel_gracefully(task, &token, Duration::from_secs(1)).await;
    println!("with awaits: {}", outcome.expect("it needs less than a second"));

    // Work that must be done is shielded: it continues when no task awaits it, and the runtime
    // waits for it before it ends.
    drop(shield(async {
        sleep(Duration::from_millis(5)).await;
        println!("shielded: done");
    }));
    println!("main: the end");
}
