//! What shards share: the gates of their start and their end, and handles that reach the runtime of
//! a shard that restarts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annulus::shards::{OnFailure, RestartOptions, Shard};
use annulus::{Builder, Shards};

use crate::common::bounded::bounded;
use crate::common::rounds::rounds;

/// Closures that end at once, in any order: the last one to arrive at the end wakes the others,
/// which may be about to sleep.
#[test]
fn shards_that_end_at_the_same_time_all_end() {
    for _ in 0..rounds(200) {
        let results = bounded(|| Shards::builder().count(3).run(async |shard| shard.index()));
        assert_eq!(results.unwrap(), [0, 1, 2]);
    }
}

/// Shard 0 calls shard 1 all the time, while that restarts again and again. Each call is either
/// refused, or run, or ended with its runtime; none is lost, and the last life is reached.
#[test]
fn a_shard_that_restarts_loses_no_call_of_another() {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    let lives = rounds(50);
    let restarts = RestartOptions::new()
        .backoff(Duration::ZERO, Duration::ZERO)
        .max_restarts(lives, Duration::from_secs(3600));
    let (life, incidents) = (AtomicUsize::new(1), |_: &_| {});
    let shards = Shards::builder()
        .count(2)
        .runtime(move |_| Builder::new().on_incident(incidents))
        .on_failure(OnFailure::Restart(restarts));
    let run = || {
        shards.run(async |shard| {
            if shard.index() == 1 {
                for _ in 0..3 {
                    annulus::yield_now().await;
                }
                let now = life.fetch_add(1, Ordering::SeqCst);
                return if now > lives { Ok([0; 3]) } else { Err(now) };
            }
            let [mut answered, mut ended, mut refused] = [0; 3];
            loop {
                let is_last = life.load(Ordering::SeqCst) > lives + 1;
                let call = shard.handle(1).call(|| RUN.fetch_add(1, Ordering::SeqCst));
                match call {
                    Err(_) => {
                        refused += 1;
                        annulus::yield_now().await;
                    }
                    Ok(call) => match call.await {
                        Ok(_) if is_last => return Ok([answered + 1, ended, refused]),
                        Ok(_) => answered += 1,
                        Err(_) => ended += 1,
                    },
                }
            }
        })
    };
    let results = bounded(run).unwrap();
    let [answered, ended, _] = results[0].unwrap();
    // A closure that has run may have lost its answer with the runtime.
    let run = RUN.load(Ordering::SeqCst);
    assert!((answered..=answered + ended).contains(&run), "{run} of {answered} and {ended}");
}

#[test]
fn the_shutdown_of_one_shard_reaches_the_others() {
    let run = || {
        Shards::builder().count(3).run(async |shard| {
            if shard.index() == 2 {
                drop(shard.handle(1).call(|| Shard::current().shutdown().request()).unwrap());
            }
            shard.shutdown().requested().await;
        })
    };
    bounded(run).unwrap();
}
