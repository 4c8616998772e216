//! Imbalance: a task that computes delays its own shard, and no other shard helps.
//!
//! ```sh
//! cargo run --release --example shards_imbalance
//! ```
//!
//! Both shards sleep for a millisecond, again and again, and note how late they wake. Shard 0 also
//! computes for 50 ms: first in a task, which nothing can interrupt, then on a thread of its own
//! (`to_thread`), where the kernel takes the processor away from it.

use std::time::{Duration, Instant};

use annulus::Shards;
use annulus::blocking::to_thread;
use annulus::shards::ShardsError;
use annulus::time::sleep;

const TICK: Duration = Duration::from_millis(1);

fn compute() {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(50) {
        std::hint::spin_loop();
    }
}

/// Wakes every millisecond for a while. Returns the longest delay.
async fn longest_delay() -> Duration {
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    while began.elapsed() < Duration::from_millis(100) {
        let before = Instant::now();
        sleep(TICK).await;
        longest = longest.max(before.elapsed() - TICK);
    }
    longest
}

fn main() -> Result<(), ShardsError> {
    let in_a_task = Shards::builder().count(2).run(async |shard| {
        let watching = annulus::spawn(longest_delay());
        sleep(5 * TICK).await;
        if shard.index() == 0 {
            compute();
        }
        watching.await.unwrap()
    })?;
    println!("computing in a task of shard 0 delayed the shards by up to {in_a_task:.1?}");

    let on_a_thread = Shards::builder().count(2).run(async |shard| {
        let watching = annulus::spawn(longest_delay());
        sleep(5 * TICK).await;
        if shard.index() == 0 {
            to_thread(compute).await.unwrap();
        }
        watching.await.unwrap()
    })?;
    println!("computing on a thread of its own delayed them by up to {on_a_thread:.1?}");
    Ok(())
}
