//! When work stealing would be better: jobs of uneven length, dealt out in advance and fetched one
//! by one.
//!
//! ```sh
//! cargo run --release --example shards_jobs
//! ```
//!
//! A shard that was dealt long jobs works while the others wait for it. Where the jobs come from
//! one place, let each shard fetch the next one when it has time: that is all that is left of work
//! stealing then, and it costs one atomic operation for a job, not for a task.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use annulus::Shards;
use annulus::shards::ShardsError;
use annulus::yield_now;

const SHARDS: usize = 2;
const JOBS: usize = 40;

/// Every job takes a moment; those of the first half take ten.
fn work(job: usize) {
    let moment = Duration::from_micros(500);
    let length = if job < JOBS / 2 { moment * 10 } else { moment };
    let began = Instant::now();
    while began.elapsed() < length {
        std::hint::spin_loop();
    }
}

fn main() -> Result<(), ShardsError> {
    let began = Instant::now();
    let dealt = Shards::builder().count(SHARDS).run(async |shard| {
        let share = JOBS / shard.count();
        for job in shard.index() * share..(shard.index() + 1) * share {
            work(job);
            // A task that computes lets the others be polled now and then.
            yield_now().await;
        }
        began.elapsed()
    })?;
    println!("dealt in advance: the shards were done after {dealt:.1?}");

    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let fetched = Shards::builder().count(SHARDS).run(async |_| {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= JOBS {
                return began.elapsed();
            }
            work(job);
            yield_now().await;
        }
    })?;
    println!("fetched one by one: the shards were done after {fetched:.1?}");
    Ok(())
}
