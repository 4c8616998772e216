//! Cancelling, and cleaning up: at once by destructors, with awaits by a token, and at ctrl-c.
//!
//! ```sh
//! cargo run --example cleanup
//! ```

use std::time::Duration;

use annulus::join::{CancelToken, cancel_gracefully, shield};
use annulus::time::sleep;

/// Says so when it is dropped.
struct Cleans(&'static str);

impl Drop for Cleans {
    fn drop(&mut self) {
        println!("{}: cleaned up", self.0);
    }
}

#[annulus::main(ctrl_c = true)]
async fn main() {
    // Cancelled, a task ends where it waits; its destructors run.
    let task = annulus::spawn(async {
        let _cleans = Cleans("by a destructor");
        sleep(Duration::from_secs(3600)).await;
    });
    annulus::yield_now().await;
    task.cancel();
    println!("by a destructor: {}", task.await.unwrap_err());

    // A destructor cannot await. Who must is asked by a token, and has a while.
    let token = CancelToken::new();
    let its = token.clone();
    let task = annulus::spawn(async move {
        its.cancelled().await;
        sleep(Duration::from_millis(5)).await;
        println!("with awaits: cleaned up");
        "done"
    });
    let outcome = cancel_gracefully(task, &token, Duration::from_secs(1)).await;
    println!("with awaits: {}", outcome.expect("it had time enough"));

    // What must be done is shielded: it goes on when nobody waits, and the runtime's end waits for it.
    drop(shield(async {
        sleep(Duration::from_millis(5)).await;
        println!("shielded: done");
    }));
    println!("main: the end");
}
