//! Three interleaved computations: `gather` for all outcomes, `as_completed` for the first, and a
//! `timeout` for one that never ends.
//!
//! ```sh
//! cargo run --example factorials
//! ```

use std::time::Duration;

use annulus::join::{as_completed, gather};
use annulus::time::timeout;
use annulus::yield_now;
use futures_util::StreamExt;

/// Yields to other tasks after each step.
async fn factorial(name: &str, number: u64) -> u64 {
    let mut product = 1;
    for factor in 2..=number {
        println!("{name}: {product} times {factor}");
        product *= factor;
        yield_now().await;
    }
    println!("{name}: {number}! is {product}");
    product
}

#[annulus::main]
async fn main() {
    let all = gather((factorial("A", 2), factorial("B", 3), factorial("C", 4))).await;
    println!("all: {all:?}");

    let mut outcomes = as_completed([factorial("D", 4), factorial("E", 2)]);
    while let Some((which, outcome)) = outcomes.next().await {
        println!("number {which} returned {outcome}");
    }

    let endless = async {
        let _farewell = Farewell;
        std::future::pending::<()>().await;
    };
    match timeout(Duration::from_millis(1), endless).await {
        Ok(()) => unreachable!("it never ends"),
        Err(elapsed) => println!("endless: {elapsed}"),
    }
}

/// Prints a line when it is dropped, however the future that owns it ends.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        println!("endless: cleaned up");
    }
}
