//! Calls between shards of which one ends and is restarted.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
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
            assert_eq!(index, 1);
            // The next life may answer before its closure has begun.
            while lives.load(Ordering::SeqCst) < 2 {
                yield_now().await;
            }
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

type BoxedCall = Pin<Box<dyn Future<Output = Result<(), JoinError>>>>;

thread_local! {
    /// A call that the first life of a shard leaves to the second.
    static LEFT: Cell<Option<BoxedCall>> = const { Cell::new(None) };
}

/// Blocks the thread until the number is reached. No task of this shard runs meanwhile.
fn block_until(number: &AtomicUsize, reached: usize) {
    while number.load(Ordering::SeqCst) < reached {
        thread::sleep(Duration::from_millis(1));
    }
}

/// The first life ends before it has seen that shard 1 restarted, and the second polls a call of
/// the first before it has seen the next restart.
#[test]
fn a_call_of_an_earlier_life_takes_no_links_of_the_next_one() {
    let (lives, peers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let to_end = AtomicUsize::new(0);
    let run = || {
        restarting(2).run(async |shard| {
            if shard.index() == 1 {
                let life = peers.fetch_add(1, Ordering::SeqCst) + 1;
                while life < 3 && to_end.load(Ordering::SeqCst) < life {
                    yield_now().await;
                }
                return if life < 3 { Err("another life") } else { Ok(()) };
            }
            let life = lives.fetch_add(1, Ordering::SeqCst) + 1;
            to_end.store(life, Ordering::SeqCst);
            if life == 1 {
                LEFT.set(Some(Box::pin(shard.run_on(1, || ()))));
            }
            block_until(&peers, life + 1);
            if life == 1 {
                return Err("another life");
            }
            let left = LEFT.take().expect("the first life has left it").now_or_never();
            assert!(matches!(left, Some(Err(JoinError::Ended))));
            assert_eq!(call_until_answered(&shard, 1, || Shard::current().index()).await, 1);
            Ok(())
        })
    };
    bounded(run).unwrap();
}

/// Runs a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The outcome of a dropped call, whose target has ended, is dropped amid the answers. That makes a
/// call to another shard, for which this one takes the links of all that have restarted.
#[test]
fn the_end_of_a_link_is_not_taken_for_that_of_the_next_one() {
    let lives = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let ending = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let is_released = Arc::new(AtomicUsize::new(0));
    let (has_begun, is_blocked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let run = || {
        restarting(3).run(async |shard| {
            if let Some(peer) = shard.index().checked_sub(1) {
                if lives[peer].fetch_add(1, Ordering::SeqCst) > 0 {
                    return Ok(());
                }
                let (ending, released) = (Arc::clone(&ending), Arc::clone(&is_released));
                // The links have ended before the tasks do.
                let guard = OnDrop(move || {
                    ending[peer].store(1, Ordering::SeqCst);
                    block_until(&released, 1);
                });
                annulus::spawn(async move {
                    let _guard = guard;
                    std::future::pending::<()>().await;
                });
                yield_now().await;
                while peer == 0 && has_begun.load(Ordering::SeqCst) == 0 {
                    yield_now().await;
                }
                return Err("another life");
            }
            while !matches!(shard.run_on(2, || ()).await, Err(JoinError::Ended)) {}
            let (its, released) = (Arc::clone(&lives), Arc::clone(&is_released));
            let (begun, blocked) = (Arc::clone(&has_begun), Arc::clone(&is_blocked));
            let mut call = Box::pin(shard.run_on(1, move || {
                begun.store(1, Ordering::SeqCst);
                block_until(&blocked, 1);
                OnDrop(move || {
                    released.store(1, Ordering::SeqCst);
                    its.iter().for_each(|lives| block_until(lives, 2));
                    drop(Shard::current().run_on(2, || ()).now_or_never());
                })
            }));
            assert!(call.as_mut().now_or_never().is_none());
            drop(call);
            while has_begun.load(Ordering::SeqCst) == 0 {
                yield_now().await;
            }
            // The answer and the end of the target come together.
            is_blocked.store(1, Ordering::SeqCst);
            block_until(&ending[0], 1);
            while lives[0].load(Ordering::SeqCst) < 2 {
                yield_now().await;
            }
            yield_now().await;
            assert_eq!(shard.run_on(1, || Shard::current().index()).await.unwrap(), 1);
            Ok(())
        })
    };
    bounded(run).unwrap();
}
