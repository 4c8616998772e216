//! Hello, then the world: two tasks that sleep concurrently.
//!
//! ```sh
//! cargo run --example hello
//! ```
//!
//! ```text
//! hello
//! ... world!
//! one after the other: 30 ms; side by side: 20 ms
//! ```

use std::time::Duration;

use annulus::time::{now, sleep};

async fn say(after: Duration, what: &str) {
    sleep(after).await;
    println!("{what}");
}

#[annulus::main]
async fn main() {
    let (short, long) = (Duration::from_millis(10), Duration::from_millis(20));
    let began = now();
    say(short, "hello").await;
    say(long, "... world!").await;
    let one_after_the_other = now() - began;

    let began = now();
    let first = annulus::spawn(sleep(short));
    let second = annulus::spawn(sleep(long));
    first.await.expect("it is neither cancelled nor panics");
    second.await.expect("as above");
    let side_by_side = now() - began;

    println!(
        "one after the other: {} ms; side by side: {} ms",
        one_after_the_other.as_millis(),
        side_by_side.as_millis(),
    );
}
