//! Calls between shards: their order, their bound, and what becomes of a call that is cancelled,
//! panics, or meets the end of a shard.

use std::cell::{Cell, RefCell};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

use annulus::join::gather;
use annulus::shards::{Shard, ShardsBuilder};
use annulus::task::{JoinError, current_task};
use annulus::time::sleep;
use annulus::{Builder, Shards, metrics, spawn, yield_now};
use futures_util::future::FutureExt;

use crate::common::bounded::bounded;
use crate::common::drops::Drops;
use crate::common::incidents::Incidents;
use crate::common::panics::panic_of;
use crate::common::patience::limit;

fn shards(count: usize) -> ShardsBuilder {
    Shards::builder().count(count).pin(false)
}

/// Runs `test` on the first of the shards, and returns its result.
fn on_first<T: Send>(shards: ShardsBuilder, test: impl AsyncFn(Shard) -> T + Sync) -> T {
    let run = || {
        shards.run(async |shard| match shard.index() {
            0 => Some(Mutex::new(test(shard).await)).into_iter().collect::<Vec<_>>(),
            _ => Vec::new(),
        })
    };
    let first = bounded(run).expect("shards start here").swap_remove(0);
    first.into_iter().next().expect("shard 0 has a result").into_inner().unwrap()
}

thread_local! {
    static LOG: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn log(entry: usize) {
    LOG.with_borrow_mut(|log| log.push(entry));
}

/// Blocks a shard until the sender is dropped. Returns when it is blocked.
async fn block(shard: &Shard, index: usize) -> Sender<()> {
    let (release, released): (_, Receiver<()>) = channel();
    let (blocked, mut is_blocked) = annulus::sync::remote::channel(1);
    let blocking = move || {
        let _ = blocked.try_send(());
        let _ = released.recv();
    };
    drop(shard.handle(index).call(blocking).unwrap());
    is_blocked.recv().await.unwrap();
    release
}

/// Polls a future once.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    future.now_or_never()
}

#[test]
fn a_call_runs_on_its_shard_inside_of_the_runtime_and_returns_its_value() {
    on_first(shards(2), async |shard| {
        let there = shard.run_on(1, || {
            assert!(current_task().is_none());
            drop(spawn(async { log(Shard::current().index()) }));
            Shard::current().index()
        });
        assert_eq!(there.await.unwrap(), 1);
        assert_eq!(shard.run_on(1, || LOG.take()).await.unwrap(), [1]);
    });
}

/// The queue is shorter than the number of calls, so most of them wait for their place.
#[test]
fn calls_of_one_shard_to_another_run_in_the_order_of_their_first_poll() {
    on_first(shards(2).queue_capacity(8), async |shard| {
        let calls = (0..1000).map(|number| {
            shard.run_on(1, move || {
                log(number);
                number
            })
        });
        let results = gather(calls.collect::<Vec<_>>()).await;
        assert!(results.into_iter().map(Result::unwrap).eq(0..1000));
        assert!(shard.run_on(1, || LOG.take()).await.unwrap().into_iter().eq(0..1000));
    });
}

#[test]
fn a_call_to_the_shard_itself_runs_at_once() {
    on_first(shards(2), async |shard| {
        let call = shard.run_on(0, || current_task().is_some());
        assert!(call.now_or_never().unwrap().unwrap());
        let panicked = shard.run_on(0, || panic!("here")).await;
        assert!(panicked.unwrap_err().is_panic());
    });
}

/// They would keep their task from the event loop, for ever.
#[test]
fn calls_to_the_shard_itself_take_from_the_tasks_budget() {
    on_first(shards(1), async |shard| {
        let others = spawn(async { log(1) });
        while LOG.with_borrow(Vec::is_empty) {
            shard.run_on(0, || ()).await.unwrap();
        }
        others.await.unwrap();
    });
}

#[test]
fn a_panic_of_a_closure_is_returned_to_the_caller() {
    on_first(shards(2), async |shard| {
        let calls = (0..4).map(|number| {
            shard.run_on(1, move || match number {
                2 => panic!("number {number}"),
                other => other,
            })
        });
        let mut results = gather(calls.collect::<Vec<_>>()).await;
        let error = results.remove(2).unwrap_err();
        assert_eq!(error.to_string(), "task panicked: number 2");
        assert!(results.into_iter().map(Result::unwrap).eq([0, 1, 3]));
    });
}

#[test]
#[should_panic(expected = "`run_on` for shard 2: there are 2 shards")]
fn a_call_to_a_shard_that_does_not_exist_panics() {
    on_first(shards(2), async |shard| drop(shard.run_on(2, || ())));
}

/// The target blocks. What is written to it is bounded by the queue; the other calls wait at the
/// sender, and are withdrawn when their futures are dropped.
#[test]
fn a_sender_holds_no_more_calls_to_a_blocked_shard_than_its_queue_has_places() {
    const PLACES: usize = 8;
    on_first(shards(2).queue_capacity(PLACES), async |shard| {
        let (closures, runs) = (Drops::default(), Arc::new(AtomicUsize::new(0)));
        let release = block(&shard, 1).await;
        let calls = (0..100).map(|_| {
            let (guard, runs) = (closures.guard(), Arc::clone(&runs));
            let call = shard.run_on(1, move || {
                runs.fetch_add(1, Ordering::Relaxed);
                drop(guard);
            });
            Box::pin(call)
        });
        let mut calls = calls.collect::<Vec<_>>();
        for _ in 0..3 {
            assert!(calls.iter_mut().all(|call| poll_once(call).is_none()));
            yield_now().await;
        }
        drop(calls);
        assert_eq!(closures.count(), 100 - PLACES);
        // All places are taken still, by calls whose answers no future awaits.
        let mut late = Box::pin(shard.run_on(1, || ()));
        assert!(poll_once(&mut late).is_none());
        drop(release);
        late.await.unwrap();
        assert_eq!((runs.load(Ordering::Relaxed), closures.count()), (PLACES, 100));
    });
}

#[test]
fn a_place_in_the_queue_goes_to_the_call_that_has_waited_longest() {
    on_first(shards(2).queue_capacity(1), async |shard| {
        let release = block(&shard, 1).await;
        let calls = (0..50).map(|number| Box::pin(shard.run_on(1, move || log(number))));
        let mut calls = calls.collect::<Vec<_>>();
        for call in &mut calls {
            assert!(poll_once(call).is_none());
        }
        // Every other one gives up, the first of them with its request sent.
        let mut index = 0;
        calls.retain(|_| {
            index += 1;
            index % 2 == 0
        });
        drop(release);
        gather(calls).await.into_iter().for_each(|result| result.unwrap());
        let ran = shard.run_on(1, || LOG.take()).await.unwrap();
        assert!(ran.into_iter().eq([0].into_iter().chain((1..50).step_by(2))));
    });
}

/// Sent one by one, they would wake it up to a thousand times.
#[test]
fn a_batch_of_a_thousand_calls_wakes_the_other_shard_a_few_times() {
    let small_turns = Builder::new().max_polls_per_turn(256);
    let shards = shards(2).queue_capacity(1024).runtime(move |_| small_turns.clone());
    on_first(shards, async |shard| {
        shard.run_on(1, || ()).await.unwrap();
        let before = shard.run_on(1, || metrics().enter_calls).await.unwrap();
        let calls = (0..1000).map(|_| shard.run_on(1, || ())).collect::<Vec<_>>();
        gather(calls).await.into_iter().for_each(|result| result.unwrap());
        let after = shard.run_on(1, || metrics().enter_calls).await.unwrap();
        assert!(after - before <= 20, "{} enters for 1000 calls", after - before);
    });
}

/// The closures are more than one turn runs, and nothing else wakes the target.
#[test]
fn a_shard_does_not_sleep_while_its_queues_have_more_than_a_turn_runs() {
    let small_turns = Builder::new().max_polls_per_turn(4);
    on_first(shards(2).runtime(move |_| small_turns.clone()), async |shard| {
        let calls = (0..200).map(|number| shard.run_on(1, move || number)).collect::<Vec<_>>();
        assert!(gather(calls).await.into_iter().map(Result::unwrap).eq(0..200));
    });
}

/// A flood from one shard, without an end until the others have been served.
#[test]
fn a_flood_from_one_shard_starves_neither_timers_nor_other_shards() {
    let over = AtomicBool::new(false);
    let flooded = Barrier::new(2);
    let run = || {
        shards(3).queue_capacity(64).run(async |shard| match shard.index() {
            0 => {
                let mut begun = false;
                while !over.load(Ordering::Relaxed) {
                    let calls = (0..256).map(|_| shard.run_on(1, || ())).collect::<Vec<_>>();
                    gather(calls).await.into_iter().for_each(|result| result.unwrap());
                    if !std::mem::replace(&mut begun, true) {
                        flooded.wait();
                    }
                }
            }
            1 => {
                for _ in 0..20 {
                    sleep(Duration::from_millis(1)).await;
                }
                log(1);
            }
            _ => {
                flooded.wait();
                let began = Instant::now();
                for _ in 0..100 {
                    shard.run_on(1, || ()).await.unwrap();
                }
                while shard.run_on(1, || LOG.with_borrow(Vec::is_empty)).await.unwrap() {
                    assert!(began.elapsed() < limit(), "the timers of shard 1 do not fire");
                    yield_now().await;
                }
                over.store(true, Ordering::Relaxed);
            }
        })
    };
    bounded(run).unwrap();
}

/// A call is dropped after each number of polls, from none on, with a turn of the event loop after
/// each. Its closure and its result are each dropped once, wherever they are then.
#[test]
fn a_call_that_is_dropped_at_any_point_leaks_nothing_and_breaks_no_other() {
    on_first(shards(2).queue_capacity(2), async |shard| {
        let (closures, results) = (Drops::default(), Drops::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let mut begun = 0;
        for polls in 0..200 {
            let (closure, result) = (closures.guard(), results.clone());
            let runs = Arc::clone(&runs);
            let call = shard.run_on(1, move || {
                drop(closure);
                runs.fetch_add(1, Ordering::SeqCst);
                result.guard()
            });
            let mut call = Box::pin(call);
            for _ in 0..polls {
                if poll_once(&mut call).is_some() {
                    break;
                }
                yield_now().await;
            }
            begun += usize::from(polls > 0);
            drop(call);
            // Another call at the same time, which completes.
            assert_eq!(shard.run_on(1, move || polls).await.unwrap(), polls);
        }
        assert_eq!((closures.count(), runs.load(Ordering::SeqCst)), (200, begun));
        assert_eq!(results.count(), begun);
    });
}

/// With nothing else to do, the event loop sleeps, so that only the answer wakes it.
#[test]
fn the_outcome_of_a_dropped_call_is_dropped_by_the_sender() {
    on_first(shards(2), async |shard| {
        let (dropped, drops) = channel();
        let call =
            shard.run_on(1, move || DropsOn(Some(dropped), Cell::new(Shard::current().index())));
        let mut call = Box::pin(call);
        assert!(poll_once(&mut call).is_none());
        drop(call);
        shard.run_on(1, || ()).await.unwrap();
        assert_eq!(drops.try_recv(), Ok((1, 0)), "made on shard 1, dropped on shard 0");
    });
}

/// Sends where it was made and where it is dropped.
struct DropsOn(Option<Sender<(usize, usize)>>, Cell<usize>);

impl Drop for DropsOn {
    fn drop(&mut self) {
        if let Some(dropped) = self.0.take() {
            let _ = dropped.send((self.1.get(), Shard::current().index()));
        }
    }
}

/// No caller is left that would see them.
#[test]
fn panics_of_dropped_calls_are_reported() {
    let incidents = Incidents::default();
    let its = incidents.clone();
    let reporting = Builder::new().on_incident(move |incident| its.report(incident));
    on_first(shards(2).runtime(move |_| reporting.clone()), async |shard| {
        let bombs = Drops::default();
        let bomb = bombs.clone();
        let mut panics = Box::pin(shard.run_on(1, || panic!("a closure")));
        let mut returns = Box::pin(shard.run_on(1, move || bomb.bomb("a result")));
        assert!(poll_once(&mut panics).is_none() && poll_once(&mut returns).is_none());
        drop((panics, returns));
        shard.run_on(1, || ()).await.unwrap();
        assert_eq!(bombs.count(), 1);
    });
    assert_eq!(incidents.take_messages(), ["callback: a closure", "callback: a result"]);
}

#[test]
fn every_shard_calls_every_other_at_the_same_time() {
    let (closures, results) = (Drops::default(), Drops::default());
    let rounds = if cfg!(annulus_tsan) { 20 } else { 100 };
    let kept = AtomicUsize::new(0);
    let run = || {
        shards(4).queue_capacity(16).run(async |shard| {
            let mut random = fastrand::Rng::with_seed(shard.index() as u64);
            for _ in 0..rounds {
                let mut calls = Vec::new();
                for number in 0..60_usize {
                    let (closure, result) = (closures.guard(), results.clone());
                    let call = shard.run_on(number % 4, move || {
                        drop(closure);
                        (number, result.guard())
                    });
                    let mut call = Box::pin(call);
                    match (random.u8(..3), poll_once(&mut call)) {
                        (_, Some(result)) => assert_eq!(result.unwrap().0, number),
                        (0, None) => continue,
                        (_, None) => calls.push((number, call)),
                    }
                }
                let (numbers, calls): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
                kept.fetch_add(numbers.len(), Ordering::Relaxed);
                let results = gather(calls).await;
                let returned = results.into_iter().map(|result| result.unwrap().0);
                assert!(returned.eq(numbers));
            }
        })
    };
    bounded(run).unwrap();
    assert_eq!(closures.count(), 4 * rounds * 60);
    assert!(kept.load(Ordering::Relaxed) > 0 && results.count() >= kept.load(Ordering::Relaxed));
}

#[test]
fn a_closure_for_all_shards_is_run_on_each_and_the_results_are_in_order() {
    on_first(shards(4), async |shard| {
        let results = shard.run_on_all(|there| (there.index(), Shard::current().index()));
        assert_eq!(results.await.unwrap(), [(0, 0), (1, 1), (2, 2), (3, 3)]);
        let words = shard.map_reduce(
            |there| there.index().to_string(),
            String::new(),
            |words, word| words + &word,
        );
        assert_eq!(words.await.unwrap(), "0123");
        let failed = shard.run_on_all(|there| assert_ne!(there.index(), 2, "not there"));
        assert!(matches!(failed.await, Err(JoinError::Panicked(_))));
    });
}

/// The shard whose closure has returned continues to answer until all closures have.
#[test]
fn a_shard_whose_closure_has_returned_is_still_reached() {
    let run = || {
        shards(2).run(async |shard| match shard.index() {
            0 => {
                sleep(Duration::from_millis(5)).await;
                shard.run_on(1, || 7).await.unwrap()
            }
            _ => 0,
        })
    };
    assert_eq!(bounded(run).unwrap(), [7, 0]);
}

/// Wakers that are not a task's are kept and woken as well.
#[test]
fn a_call_may_be_awaited_under_a_foreign_waker() {
    on_first(shards(2), async |shard| {
        let mut call = Box::pin(shard.run_on(1, || 3));
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Arc::clone(&woken).into();
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        while !woken.0.load(Ordering::Relaxed) {
            yield_now().await;
        }
        assert_eq!(poll_once(&mut call).unwrap().unwrap(), 3);
    });
}

struct Woken(AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A waker that nothing may store.
fn panics_as_it_is_cloned() -> Waker {
    const VTABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("the clone panics"), |_| (), |_| (), |_| ());
    // SAFETY: the functions use no data.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

#[test]
fn a_waker_that_panics_as_it_is_cloned_takes_no_place_in_the_queue() {
    on_first(shards(2).queue_capacity(2), async |shard| {
        for _ in 0..3 {
            let mut call = Box::pin(shard.run_on(1, || ()));
            let waker = panics_as_it_is_cloned();
            let panic = panic_of(|| call.as_mut().poll(&mut Context::from_waker(&waker)));
            assert_eq!(panic, "the clone panics");
        }
        assert_eq!(shard.run_on(1, || Shard::current().index()).await.unwrap(), 1);
    });
}
