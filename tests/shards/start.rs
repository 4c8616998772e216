//! The start of shards, and their end in order.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use annulus::shards::{Shard, ShardsBuilder, ShardsError};
use annulus::{Builder, Shards};

use crate::common::bounded::bounded;
use crate::common::child::isolated;
use crate::common::panics::panic_of;
use crate::this_test;

fn shards(count: usize) -> ShardsBuilder {
    Shards::builder().count(count)
}

#[test]
fn each_shard_has_a_thread_and_the_results_are_in_order_of_index() {
    let results = bounded(|| {
        shards(4).name("store").run(async |shard| {
            annulus::yield_now().await;
            let name = thread::current().name().map(str::to_owned);
            (shard.index(), shard.count(), name, format!("{:?}", thread::current().id()))
        })
    })
    .unwrap();
    for (index, (its, count, name, _)) in results.iter().enumerate() {
        assert_eq!((*its, *count), (index, 4));
        assert_eq!(name.as_deref(), Some(&*format!("store-{index}")));
    }
    let threads: std::collections::BTreeSet<_> = results.iter().map(|result| &result.3).collect();
    assert_eq!(threads.len(), 4);
}

#[test]
fn a_closure_may_borrow_and_its_future_need_not_be_send() {
    let words = [String::from("one"), String::from("three")];
    let lengths = bounded(|| {
        shards(2).run(async |shard| {
            let length = std::rc::Rc::new(Cell::new(0));
            annulus::yield_now().await;
            length.set(words[shard.index()].len());
            length.get()
        })
    });
    assert_eq!(lengths.unwrap(), [3, 5]);
}

/// More than the two megabytes of a thread by default.
#[test]
fn a_shard_has_a_stack_of_the_size_that_is_set() {
    let fill = || black_box(&[1_u8; 16 << 20])[4096];
    let run = || shards(2).stack_size(64 << 20).run(async |_| fill());
    assert_eq!(bounded(run).unwrap(), [1, 1]);
}

#[test]
fn all_shards_run_at_the_same_time() {
    let all = Barrier::new(3);
    let run = || {
        shards(3).run(async |_| {
            all.wait();
        })
    };
    bounded(run).unwrap();
}

#[test]
fn the_current_shard_is_that_of_the_thread() {
    assert!(Shard::try_current().is_none());
    bounded(|| {
        shards(2).run(async |shard| {
            let in_task = annulus::spawn(async { Shard::current().index() });
            assert_eq!(in_task.await.unwrap(), shard.index());
            let elsewhere = thread::spawn(|| Shard::try_current().is_none());
            assert!(elsewhere.join().unwrap());
        })
    })
    .unwrap();
}

#[test]
fn the_first_panic_in_order_of_index_is_resumed_when_all_shards_have_ended() {
    let ended = AtomicUsize::new(0);
    let all = Barrier::new(4);
    let run = || {
        shards(4).run(async |shard| {
            all.wait();
            match shard.index() {
                // Panics last of all, and is resumed all the same.
                1 => {
                    while ended.load(Ordering::SeqCst) < 3 {
                        annulus::yield_now().await;
                    }
                    panic!("of shard 1");
                }
                2 => {
                    ended.fetch_add(1, Ordering::SeqCst);
                    panic!("of shard 2");
                }
                _ => ended.fetch_add(1, Ordering::SeqCst),
            }
        })
    };
    assert_eq!(bounded(|| panic_of(run)), "of shard 1");
    assert_eq!(ended.into_inner(), 3);
}

#[test]
fn no_closure_is_called_if_a_shard_cannot_start() {
    isolated(this_test!(), || {
        let limit = libc::rlimit { rlim_cur: 500, rlim_max: 500 };
        // SAFETY: the call reads the limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        let called = AtomicUsize::new(0);
        // A ring may not have more direct descriptors than the process may have open files.
        let direct = |index| if matches!(index, 1 | 2) { 1000 } else { 100 };
        let shards =
            shards(4).runtime(move |index| Builder::new().direct_descriptors(direct(index)));
        let result = shards.run(async |_| {
            called.fetch_add(1, Ordering::SeqCst);
        });
        let error = result.unwrap_err();
        assert!(matches!(error, ShardsError::Setup { shard: 1, .. }), "{error}");
        assert!(error.to_string().starts_with("cannot start shard 1: "), "{error}");
        assert_eq!(called.into_inner(), 0);
    });
}

#[test]
fn shards_run_one_after_the_other_on_one_thread() {
    for _ in 0..3 {
        assert_eq!(bounded(|| shards(2).run(async |shard| shard.index())).unwrap(), [0, 1]);
    }
}

#[test]
fn shards_inside_of_a_runtime_are_refused() {
    let inside = || annulus::run(async { shards(1).run(async |_| ()) });
    let message = bounded(|| panic_of(inside));
    assert!(message.starts_with("ShardsBuilder::run called inside of a runtime"), "{message}");
}

/// The shard that has returned first runs a task until the other has returned too.
#[test]
fn a_shard_that_has_returned_runs_its_tasks_until_all_have() {
    let (polls, returned) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // A task cannot borrow.
    let polls: &'static AtomicUsize = Box::leak(Box::new(polls));
    let run = || {
        shards(2).run(async |shard| {
            if shard.index() == 0 {
                drop(annulus::spawn(async {
                    loop {
                        polls.fetch_add(1, Ordering::SeqCst);
                        annulus::yield_now().await;
                    }
                }));
                returned.fetch_add(1, Ordering::SeqCst);
                return;
            }
            while returned.load(Ordering::SeqCst) == 0 {
                annulus::yield_now().await;
            }
            let before = polls.load(Ordering::SeqCst);
            while polls.load(Ordering::SeqCst) < before + 1000 {
                annulus::yield_now().await;
            }
        })
    };
    bounded(run).unwrap();
}
