//! Values of each shard: where they are made, used and dropped.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use annulus::join::gather;
use annulus::shards::{Shard, Sharded, ShardsBuilder};
use annulus::task::JoinError;
use annulus::time::timeout;
use annulus::{Builder, Shards, yield_now};
use futures_util::future::{self, FutureExt};

use crate::common::bounded::bounded;
use crate::common::panics::{message, panic_of};

fn shards(count: usize) -> ShardsBuilder {
    Shards::builder().count(count).pin(false)
}

/// Runs `test` on the first of `count` shards.
fn on_first(count: usize, test: impl AsyncFn(Shard) + Sync) {
    let run = || {
        shards(count).run(async |shard| {
            if shard.index() == 0 {
                test(shard).await;
            }
        })
    };
    bounded(run).expect("shards start here");
}

/// What the values of a test have done.
#[derive(Clone, Default)]
struct Journal {
    made: Arc<AtomicUsize>,
    dropped: Arc<Mutex<Vec<usize>>>,
}

impl Journal {
    fn value(&self) -> Value {
        self.made.fetch_add(1, Ordering::SeqCst);
        Value { made_on: Shard::current().index(), number: Rc::default(), journal: self.clone() }
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    /// On which shards values were dropped.
    fn dropped(&self) -> Vec<usize> {
        let mut dropped = self.dropped.lock().unwrap().clone();
        dropped.sort_unstable();
        dropped
    }
}

/// Is not `Send`, and panics if it is dropped elsewhere than it was made.
struct Value {
    made_on: usize,
    number: Rc<Cell<usize>>,
    journal: Journal,
}

impl Drop for Value {
    fn drop(&mut self) {
        let here = Shard::current().index();
        assert_eq!(here, self.made_on, "dropped on another shard than it was made on");
        self.journal.dropped.lock().unwrap().push(here);
    }
}

fn sharded(journal: &Journal) -> Sharded<Value> {
    let journal = journal.clone();
    Sharded::new(async move |_| {
        yield_now().await;
        journal.value()
    })
}

/// Runs turns of this shard, and of all others, until `is_true`.
async fn until(shard: &Shard, is_true: impl Fn() -> bool) {
    while !is_true() {
        shard.run_on_all(|_| ()).await.unwrap();
        yield_now().await;
    }
}

#[test]
fn a_value_is_made_once_on_its_shard_by_whatever_asks_for_it_first() {
    let journal = Journal::default();
    on_first(3, async |shard| {
        let values = sharded(&journal);
        assert!(values.try_local().is_none() && journal.made() == 0);
        let calls = (0..20).map(|number| {
            values.run_on(1, move |value| {
                value.number.set(value.number.get() + number);
                (value.made_on, Shard::current().index())
            })
        });
        let results = gather(calls.collect::<Vec<_>>()).await;
        assert!(results.into_iter().all(|result| result.unwrap() == (1, 1)));
        assert_eq!(journal.made(), 1);
        assert_eq!(values.run_on(1, |value| value.number.get()).await.unwrap(), 190);
        let all = values.run_on_all(|value| value.made_on).await.unwrap();
        assert_eq!((all, journal.made()), (vec![0, 1, 2], 3));
        let sum = values.map_reduce(|value| value.number.get(), 0, |sum, number| sum + number);
        assert_eq!(sum.await.unwrap(), 190);
        assert_eq!(values.local().made_on, shard.index());
    });
    assert_eq!(journal.dropped(), [0, 1, 2]);
}

#[test]
fn start_makes_the_values_of_all_shards() {
    let journal = Journal::default();
    on_first(3, async |shard| {
        let its = journal.clone();
        let values = Sharded::start(&shard, async move |shard| {
            assert_eq!(shard.index(), Shard::current().index());
            its.value()
        });
        let values = values.await.unwrap();
        assert_eq!((journal.made(), values.local().made_on), (3, 0));
    });
}

#[test]
fn a_start_that_fails_on_one_shard_drops_the_values_of_the_others_there() {
    let journal = Journal::default();
    on_first(3, async |shard| {
        let its = journal.clone();
        let started = Sharded::start(&shard, async move |shard| {
            assert_ne!(shard.index(), 1, "no value");
            its.value()
        });
        assert!(matches!(started.await, Err(JoinError::Panicked(_))));
        until(&shard, || journal.dropped() == [0, 2]).await;
    });
}

#[test]
fn the_values_are_dropped_on_their_shards_when_the_last_handle_is() {
    let journal = Journal::default();
    on_first(3, async |shard| {
        let values = sharded(&journal);
        values.run_on_all(|_| ()).await.unwrap();
        let (clone, kept) = (values.clone(), values.local());
        drop(values);
        shard.run_on_all(|_| ()).await.unwrap();
        assert!(journal.dropped().is_empty());
        // On a thread that is no shard's.
        std::thread::spawn(move || drop(clone)).join().unwrap();
        until(&shard, || journal.dropped() == [1, 2]).await;
        drop(kept);
        until(&shard, || journal.dropped() == [0, 1, 2]).await;
    });
}

#[test]
fn the_values_are_dropped_on_their_shards_when_these_end() {
    let journal = Journal::default();
    let values = sharded(&journal);
    on_first(2, async |_| drop(values.run_on_all(|_| ()).await.unwrap()));
    assert_eq!(journal.dropped(), [0, 1]);
    // The shards of another run make new ones.
    on_first(2, async |_| drop(values.run_on_all(|_| ()).await.unwrap()));
    assert_eq!((journal.made(), journal.dropped()), (4, vec![0, 0, 1, 1]));
}

#[test]
fn stop_passes_each_value_to_a_closure_on_its_shard_and_no_other_is_made() {
    let journal = Journal::default();
    on_first(3, async |shard| {
        let values = sharded(&journal);
        values.run_on(1, |value| value.number.set(7)).await.unwrap();
        values.run_on(2, |value| value.number.set(8)).await.unwrap();
        let stopped = Arc::new(Mutex::new(Vec::new()));
        let its = Arc::clone(&stopped);
        let stop = values.stop(async move |value| {
            yield_now().await;
            assert_eq!(value.made_on, Shard::current().index());
            its.lock().unwrap().push(value.number.get());
        });
        stop.await.unwrap();
        stopped.lock().unwrap().sort_unstable();
        // Shard 0 had none.
        assert_eq!((&*stopped.lock().unwrap(), journal.dropped()), (&vec![7, 8], vec![1, 2]));
        for index in 0..shard.count() {
            let refused = values.run_on(index, |_| ()).await;
            assert!(matches!(refused, Err(JoinError::Ended)));
        }
        assert!(matches!(values.get().await, Err(JoinError::Ended)));
        assert!(panic_of(|| values.local()).contains("`Sharded::local` called before"));
        assert_eq!(journal.made(), 2);
    });
}

/// A stop while a value is being made: it is not stored afterwards.
#[test]
fn a_value_that_is_being_made_when_it_is_stopped_is_not_kept() {
    let journal = Journal::default();
    on_first(2, async |_| {
        let values = sharded(&journal);
        let mut get = Box::pin(values.get());
        assert!(get.as_mut().now_or_never().is_none());
        let stop = values.stop(async |_| ());
        let (stopped, got) = gather((stop, get)).await;
        assert!(matches!(got, Err(JoinError::Ended)));
        stopped.unwrap();
        assert_eq!((journal.made(), journal.dropped()), (1, vec![0]));
    });
}

#[test]
fn a_value_whose_maker_is_dropped_is_made_by_the_next_that_waits_for_it() {
    on_first(1, async |_| {
        let attempts = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&attempts);
        let values = Sharded::new(async move |_| {
            if its.fetch_add(1, Ordering::SeqCst) == 0 {
                pending::<()>().await;
            }
        });
        let mut first = Box::pin(values.get());
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(values.get());
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        second.await.unwrap();
        assert_eq!(attempts.load(Ordering::SeqCst), 2);
    });
}

/// Each shard runs the same closure, and each owns a part of the keys.
#[test]
fn a_map_over_shards_reads_like_a_local_one() {
    let store = Sharded::new(async |_| RefCell::new(HashMap::<String, usize>::new()));
    let run = || {
        shards(4).run(async |shard| {
            let owner = |key: &str| key.bytes().map(usize::from).sum::<usize>() % shard.count();
            for number in 0..50 {
                let key = format!("{}-{number}", shard.index());
                let (at, name) = (owner(&key), key.clone());
                store.run_on(at, move |map| map.borrow_mut().insert(name, number)).await?;
                let found = store.run_on(at, move |map| map.borrow().get(&key).copied()).await?;
                assert_eq!(found, Some(number));
            }
            Ok::<_, JoinError>(())
        })
    };
    assert!(bounded(run).unwrap().into_iter().all(|result| result.is_ok()));
    on_first(2, async |_| {
        let count = store.map_reduce(|map| map.borrow().len(), 0, |sum, count| sum + count);
        assert_eq!(count.await.unwrap(), 0, "the values of a run end with it");
    });
}

/// Asks for the value when it is dropped.
struct AsksInDrop(Sharded<Value>, Arc<Mutex<Vec<bool>>>);

impl Drop for AsksInDrop {
    fn drop(&mut self) {
        let asked = self.0.get().now_or_never();
        self.1.lock().unwrap().push(matches!(asked, Some(Err(JoinError::Ended))));
    }
}

#[test]
fn no_value_is_made_by_a_destructor_at_the_end_of_its_shard() {
    let (journal, refused) = (Journal::default(), Arc::default());
    let its = journal.clone();
    let values = Sharded::new(async move |_| its.value());
    on_first(2, async |_| {
        let asks = AsksInDrop(values.clone(), Arc::clone(&refused));
        annulus::spawn(async move {
            let _asks = asks;
            pending::<()>().await;
        });
        yield_now().await;
    });
    assert_eq!((journal.made(), &*refused.lock().unwrap()), (0, &vec![true]));
}

#[test]
fn a_make_that_asks_for_its_own_value_panics_and_two_that_ask_in_one_task_do_not() {
    static OWN: OnceLock<Sharded<usize>> = OnceLock::new();
    on_first(1, async |_| {
        let own = OWN.get_or_init(|| {
            Sharded::new(async |_| {
                yield_now().await;
                *OWN.get().unwrap().get().await.unwrap()
            })
        });
        let made = annulus::spawn(own.get()).await;
        let JoinError::Panicked(payload) = made.unwrap_err() else { panic!("it has not panicked") };
        let message = message(&*payload);
        assert!(message.contains("awaits the same value on its own shard"), "{message}");
        let other = Sharded::new(async |_| yield_now().await);
        let (first, second) = future::join(other.get(), other.get()).await;
        assert!(Rc::ptr_eq(&first.unwrap(), &second.unwrap()));
        // The value of another may be asked for.
        let third = other.clone();
        let uses = Sharded::new(async move |_| third.get().await.is_ok());
        assert!(*uses.get().await.unwrap());
    });
}

/// Blocks shard 1 and fills its queue of calls. It goes on once the sender is used or dropped.
async fn full_queue_of_the_second(shard: &Shard) -> mpsc::Sender<()> {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let blocks = move || {
        begun.send(()).unwrap();
        released.recv().unwrap();
    };
    drop(shard.handle(1).call(blocks).unwrap());
    annulus::blocking::to_thread(move || has_begun.recv().unwrap()).await.unwrap();
    while shard.handle(1).call(|| ()).is_ok() {}
    release
}

/// Runs `test` on shard 0 of two whose queues are short.
fn with_short_queues(test: impl AsyncFn(Shard) + Sync) {
    let run = || {
        shards(2).runtime(|_| Builder::new().max_remote_calls(4)).run(async |shard| {
            if shard.index() == 0 {
                test(shard).await;
            }
        })
    };
    bounded(run).expect("shards start here");
}

#[test]
fn a_value_waits_for_room_in_a_full_queue_without_polling_all_the_time() {
    with_short_queues(async |shard| {
        let release = full_queue_of_the_second(&shard).await;
        let mut starting = Box::pin(Sharded::start(&shard, async |shard| shard.index()));
        let mut polls = 0;
        let waiting = future::poll_fn(|context| {
            polls += 1;
            starting.poll_unpin(context)
        });
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
        release.send(()).unwrap();
        starting.await.unwrap();
        assert!(polls < 200, "{polls} polls");
    });
}

#[test]
fn a_stop_that_is_dropped_while_a_queue_is_full_stops_the_value_there_nonetheless() {
    static STOPPED: AtomicUsize = AtomicUsize::new(0);
    let stopped = || STOPPED.load(Ordering::SeqCst);
    with_short_queues(async |shard| {
        let values = Sharded::start(&shard, async |_| ()).await.unwrap();
        let release = full_queue_of_the_second(&shard).await;
        let counts = async |_| {
            STOPPED.fetch_add(1, Ordering::SeqCst);
        };
        let mut stopping = Box::pin(values.stop(counts));
        while stopped() == 0 {
            assert!(stopping.as_mut().now_or_never().is_none());
            yield_now().await;
        }
        drop(stopping);
        release.send(()).unwrap();
        until(&shard, || stopped() == 2).await;
    });
}
