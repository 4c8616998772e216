//! Calls between shards of which one ends and is restarted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annulus::join::gather;
use annulus::shards::{OnFailure, RestartOptions, Shard, Sharded, ShardsBuilder};
use annulus::task::JoinError;
use annulus::{Builder, Shards, yield_now};
use futures_util::future::FutureExt;

use crate::common::bounded::bounded;
use crate::common::drops::Drops;

/// Shards that restart at once after a failure.
fn restarting(count: usize) -> ShardsBuilder {
    let restarts = RestartOptions::new()
        .backoff(Duration::ZERO, Duration::ZERO)
        .max_restarts(1000, Duration::from_secs(3600));
    // Restarts are incidents, which would be printed.
    let quiet = |_| Builder::new().on_incident(|_| {});
    let shards = Shards::builder().count(count).pin(false).runtime(quiet);
    shards.queue_capacity(16).on_failure(OnFailure::Restart(restarts))
}

/// Calls a shard until it answers.
async fn call_until_answered<T: Send + 'static>(
    shard: &Shard,
    index: usize,
    closure: impl FnOnce() -> T + Clone + Send + 'static,
) -> T {
    loop {
        match shard.run_on(index, closure.clone()).await {
            Ok(answer) => return answer,
            Err(JoinError::Ended) => yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

/// The target blocks in its closure, so that it runs none of the calls, and then fails.
#[test]
fn calls_that_an_ended_shard_has_not_answered_fail_and_later_ones_reach_its_next_life() {
    let lives = AtomicUsize::new(0);
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let is_blocked = AtomicBool::new(false);
    let (closures, runs) = (Drops::default(), Arc::new(AtomicUsize::new(0)));
    let release = Mutex::new(Some(release));
    let run = || {
        restarting(2).run(async |shard| {
            if shard.index() == 1 {
                if lives.fetch_add(1, Ordering::SeqCst) == 0 {
                    is_blocked.store(true, Ordering::SeqCst);
                    let _ = released.lock().unwrap().recv();
                    return Err("the first life ends");
                }
                return Ok(());
            }
            while !is_blocked.load(Ordering::SeqCst) {
                yield_now().await;
            }
            // More than the queue has places, so that some wait at the sender.
            let calls = (0..40).map(|_| {
                let (guard, runs) = (closures.guard(), Arc::clone(&runs));
                Box::pin(shard.run_on(1, move || {
                    runs.fetch_add(1, Ordering::SeqCst);
                    drop(guard);
                }))
            });
            let mut calls = calls.collect::<Vec<_>>();
            // One is dropped after it was sent.
            assert!(calls.iter_mut().all(|call| call.as_mut().now_or_never().is_none()));
            drop(calls.remove(3));
            for _ in 0..3 {
                yield_now().await;
            }
            drop(release.lock().unwrap().take());
            let results = gather(calls).await;
            assert!(results.iter().all(|result| matches!(result, Err(JoinError::Ended))));
            let index = call_until_answered(&shard, 1, || Shard::current().index()).await;
            assert_eq!((index, lives.load(Ordering::SeqCst)), (1, 2));
            assert_eq!((closures.count(), runs.load(Ordering::SeqCst)), (40, 0));
            Ok(())
        })
    };
    bounded(run).unwrap();
}

/// The sender fails with calls under way, which the target runs nonetheless.
#[test]
fn calls_of_a_shard_that_has_ended_are_run_and_their_outcomes_dropped() {
    let lives = AtomicUsize::new(0);
    let (closures, results) = (Drops::default(), Drops::default());
    let run = || {
        restarting(2).run(async |shard| {
            if shard.index() == 1 {
                return Ok(());
            }
            if lives.fetch_add(1, Ordering::SeqCst) == 0 {
                for _ in 0..10 {
                    let (guard, results) = (closures.guard(), results.clone());
                    let call = shard.run_on(1, move || {
                        drop(guard);
                        results.guard()
                    });
                    assert!(Box::pin(call).now_or_never().is_none());
                }
                return Err("the first life ends");
            }
            // Its next life is served by new links.
            for number in 0..50 {
                assert_eq!(shard.run_on(1, move || number).await.unwrap(), number);
            }
            Ok(())
        })
    };
    bounded(run).unwrap();
    assert_eq!((closures.count(), results.count()), (10, 10));
}

#[test]
fn a_restarted_shard_makes_its_value_anew() {
    let lives = AtomicUsize::new(0);
    let made = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&made);
    let values = Sharded::new(async move |_| its.fetch_add(1, Ordering::SeqCst));
    let run = || {
        restarting(2).run(async |shard| {
            if shard.index() == 0 {
                return Ok(());
            }
            let value = values.run_on(1, |value| *value).await.unwrap();
            assert_eq!(value, lives.load(Ordering::SeqCst));
            if lives.fetch_add(1, Ordering::SeqCst) < 2 { Err("another life") } else { Ok(()) }
        })
    };
    bounded(run).unwrap();
    assert_eq!(made.load(Ordering::SeqCst), 3);
}

/// One shard fails again and again while all call each other. Every call ends, and each closure
/// and outcome is dropped once.
#[test]
fn restarts_amid_calls_of_all_shards_lose_nothing() {
    const LIVES: usize = 20;
    let lives = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let (closures, results) = (Drops::default(), Drops::default());
    let (made, ran) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let batch = |shard: &Shard| {
        let calls = (0..60_usize).map(|number| {
            let (guard, results) = (closures.guard(), results.clone());
            let ran = Arc::clone(&ran);
            made.fetch_add(1, Ordering::SeqCst);
            shard.run_on(number % 3, move || {
                drop(guard);
                ran.fetch_add(1, Ordering::SeqCst);
                (number, results.guard())
            })
        });
        calls.collect::<Vec<_>>()
    };
    let run = || {
        restarting(3).run(async |shard| {
            while !is_over.load(Ordering::SeqCst) {
                let results = gather(batch(&shard)).await;
                for (number, result) in results.into_iter().enumerate() {
                    match result {
                        Ok((its, _)) => assert_eq!(its, number),
                        Err(JoinError::Ended) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                if shard.index() == 1 {
                    // With calls under way.
                    let mut calls = batch(&shard).into_iter().map(Box::pin).collect::<Vec<_>>();
                    calls.iter_mut().for_each(|call| drop(call.as_mut().now_or_never()));
                    if lives.fetch_add(1, Ordering::SeqCst) == LIVES {
                        is_over.store(true, Ordering::SeqCst);
                    } else {
                        return Err("another life");
                    }
                }
            }
            Ok(())
        })
    };
    bounded(run).unwrap();
    assert_eq!(closures.count(), made.load(Ordering::SeqCst));
    assert_eq!(results.count(), ran.load(Ordering::SeqCst));
    assert!(lives.load(Ordering::SeqCst) > LIVES);
}
