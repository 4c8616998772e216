//! `stream::generate`: an async body whose emitted items are a stream.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use annulus::blocking::to_thread;
use annulus::join::gather;
use annulus::stream::{Generator, generate, try_generate};
use annulus::time::{sleep, timeout};
use annulus::{spawn, yield_now};
use futures_util::stream::FusedStream;
use futures_util::{FutureExt, Stream, StreamExt};

use crate::common::conditions::{Log, poll_once};
use crate::common::drops::Drops;
use crate::common::panics::message;
use crate::common::poll::once;
use crate::common::watchdog::run;

#[test]
fn items_come_in_the_order_in_which_they_are_emitted() {
    run(async {
        let mut numbers = generate(async |y| {
            for n in 0..5 {
                if n % 2 == 0 {
                    yield_now().await;
                }
                y.emit(n).await;
            }
        });
        let mut seen = Vec::new();
        while let Some(n) = numbers.next().await {
            seen.push(n);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        assert!(numbers.is_terminated() && numbers.next().await.is_none());
        assert!(numbers.next().await.is_none(), "and stays ended");
    });
}

#[test]
fn the_body_runs_only_when_an_item_is_asked_for() {
    let log = Log::default();
    run(async {
        let mut numbers = generate(async |y| {
            log.push("begins");
            y.emit(1).await;
            log.push("goes on");
            y.emit(2).await;
            log.push("ends");
        });
        yield_now().await;
        assert!(log.take().is_empty());
        assert_eq!(numbers.next().await, Some(1));
        yield_now().await;
        assert_eq!(log.take(), ["begins"]);
        assert_eq!(numbers.next().await, Some(2));
        assert_eq!(log.take(), ["goes on"]);
        assert_eq!(numbers.next().await, None);
        assert_eq!(log.take(), ["ends"]);
    });
}

#[test]
fn a_body_without_items_is_an_empty_stream() {
    run(async {
        let nothing = generate(async |y: &annulus::stream::Emitter<()>| {
            let _ = y;
            yield_now().await;
        });
        assert_eq!(nothing.collect::<Vec<_>>().await, []);
    });
}

#[test]
fn a_dropped_generator_drops_its_body_where_it_waits() {
    let drops = Drops::default();
    run(async {
        let mut numbers = generate(async |y| {
            let _guard = drops.guard();
            y.emit(1).await;
            unreachable!("no more items are asked for");
        });
        assert_eq!(numbers.next().await, Some(1));
        assert_eq!(drops.count(), 0);
        drop(numbers);
        assert_eq!(drops.count(), 1);
        let mut waits = generate(async |y| {
            let _guard = drops.guard();
            pending::<()>().await;
            y.emit(1).await;
        });
        timeout(Duration::from_millis(1), waits.next()).await.unwrap_err();
        drop(waits);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn an_await_of_the_next_that_is_dropped_loses_nothing() {
    run(async {
        let mut numbers = generate(async |y| {
            for n in 0..3 {
                for _ in 0..3 {
                    yield_now().await;
                }
                y.emit(n).await;
            }
        });
        let mut seen = Vec::new();
        while seen.len() < 3 {
            if let Some(next) = numbers.next().now_or_never() {
                seen.extend(next);
            }
        }
        assert_eq!(seen, [0, 1, 2]);
    });
}

#[test]
fn items_may_borrow_and_generators_may_be_kept_in_structures() {
    struct Words<'a>(Generator<'a, &'a str>);
    run(async {
        let text = String::from("some words here");
        let mut words = Words(generate(async |y| {
            for word in text.split(' ') {
                y.emit(word).await;
            }
        }));
        assert_eq!(words.0.next().await, Some("some"));
        assert_eq!(words.0.collect::<Vec<_>>().await, ["words", "here"]);
    });
}

#[test]
fn one_generator_may_ask_another() {
    run(async {
        let inner = generate(async |y| {
            for n in 1.. {
                y.emit(n).await;
            }
        });
        let mut inner = inner.take(4);
        let doubled = generate(async move |y| {
            while let Some(n) = inner.next().await {
                y.emit(2 * n).await;
            }
        });
        assert_eq!(doubled.collect::<Vec<_>>().await, [2, 4, 6, 8]);
    });
}

#[test]
fn concurrent_emits_all_come_one_after_the_other() {
    run(async {
        let numbers = generate(async |y| {
            let emits = |from: usize| async move {
                for n in 0..3 {
                    y.emit(from + n).await;
                }
            };
            gather((emits(0), emits(10))).await;
            gather([emits(20), emits(30)]).await;
        });
        let mut all: Vec<_> = numbers.collect().await;
        assert!(all.iter().filter(|&&n| n < 10).eq(&[0, 1, 2]), "in order: {all:?}");
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]);
    });
}

#[test]
fn an_emit_that_is_dropped_after_it_was_polled_has_given_its_item() {
    run(async {
        let numbers = generate(async |y| {
            {
                let mut emit = pin!(y.emit(1));
                assert!(once(emit.as_mut()).await.is_pending());
            }
            {
                let mut emit = pin!(y.emit(2));
                assert!(once(emit.as_mut()).await.is_pending(), "the first was not taken yet");
            }
            y.emit(3).await;
        });
        assert_eq!(numbers.collect::<Vec<_>>().await, [1, 3]);
    });
}

#[test]
fn an_item_emitted_by_the_last_poll_of_the_body_comes() {
    run(async {
        let numbers = generate(async |y| {
            let mut emit = pin!(y.emit(1));
            assert!(once(emit.as_mut()).await.is_pending());
        });
        assert_eq!(numbers.collect::<Vec<_>>().await, [1]);
    });
}

#[test]
fn an_error_of_the_body_is_the_last_item() {
    run(async {
        let numbers = try_generate(async |y| {
            y.emit(Ok(1)).await;
            Err("failed")?;
            y.emit(Ok(2)).await;
            Ok(())
        });
        assert_eq!(numbers.collect::<Vec<_>>().await, [Ok(1), Err("failed")]);
    });
}

#[test]
fn a_panic_of_the_body_goes_through_and_ends_the_stream() {
    let drops = Drops::default();
    run(async {
        let mut numbers = generate(async |y| {
            let _guard = drops.guard();
            y.emit(1).await;
            panic!("of a body");
        });
        assert_eq!(numbers.next().await, Some(1));
        let panic = AssertUnwindSafe(numbers.next()).catch_unwind().await.unwrap_err();
        assert_eq!((message(&*panic).as_str(), drops.count()), ("of a body", 1));
        assert_eq!(numbers.next().await, None);
    });
}

// The stream is borrowed while its body runs. So the body finds it borrowed, panics, and is
// dropped.
#[test]
fn a_body_that_polls_its_own_stream_panics_and_ends_the_stream() {
    type Shared = Rc<RefCell<Option<Generator<'static, u32>>>>;
    fn next(shared: &Shared) -> impl Future<Output = Option<u32>> + use<> {
        let shared = Rc::clone(shared);
        poll_fn(move |context| shared.borrow_mut().as_mut().unwrap().poll_next_unpin(context))
    }
    let (shared, drops) = (Shared::default(), Drops::default());
    let (its, guard) = (Rc::clone(&shared), drops.guard());
    *shared.borrow_mut() = Some(generate(async move |y| {
        let _guard = guard;
        y.emit(1).await;
        assert!(its.try_borrow_mut().is_err());
        next(&its).await;
        y.emit(2).await;
    }));
    run(async {
        assert_eq!(next(&shared).await, Some(1));
        AssertUnwindSafe(next(&shared)).catch_unwind().await.unwrap_err();
        assert_eq!(drops.count(), 1);
        assert!(shared.borrow().as_ref().unwrap().is_terminated());
        assert_eq!(next(&shared).await, None);
    });
}

#[test]
fn a_forgotten_generator_does_no_harm() {
    run(async {
        let text = String::from("borrowed");
        let mut lengths = generate(async |y| y.emit(text.len()).await);
        assert_eq!(lengths.next().await, Some(8));
        mem::forget(lengths);
        drop(text);
    });
}

#[test]
fn the_stream_may_move_between_polls_and_tasks() {
    run(async {
        let numbers = generate(async |y| {
            for n in 0..3 {
                y.emit(to_thread(move || n).await.unwrap()).await;
            }
        });
        let mut boxed = Box::new(numbers);
        assert_eq!(boxed.next().await, Some(0));
        let rest = spawn(async move { boxed.collect::<Vec<_>>().await });
        assert_eq!(rest.await.unwrap(), [1, 2]);
    });
}

#[test]
fn an_item_that_is_ready_is_taken_in_one_poll_and_wakes_no_task() {
    run(async {
        let polls = Cell::new(0);
        let mut numbers = generate(async |y| {
            for n in 0..100 {
                y.emit(n).await;
            }
        });
        let count = async {
            let mut all = pin!(async {
                let mut count = 0;
                while numbers.next().await.is_some() {
                    count += 1;
                }
                count
            });
            poll_fn(|context| {
                polls.set(polls.get() + 1);
                all.as_mut().poll(context)
            })
            .await
        };
        assert_eq!((count.await, polls.get()), (100, 1));
        sleep(Duration::ZERO).await;
    });
}

#[test]
fn a_body_that_never_waits_lets_other_tasks_run() {
    run(async {
        let mut numbers = generate(async |y| {
            for n in 0.. {
                y.emit(n).await;
            }
        });
        let other = spawn(async {});
        while !other.is_finished() {
            numbers.next().await;
        }
    });
}

fn is_pending<S: Stream + Unpin>(stream: &mut S) -> bool {
    poll_once(&mut stream.next()).is_pending()
}

#[test]
fn a_poll_from_elsewhere_is_harmless() {
    let mut numbers = generate(async |y| {
        pending::<()>().await;
        y.emit(1).await;
    });
    assert!(is_pending(&mut numbers) && is_pending(&mut numbers));
    let pinned: Pin<&mut Generator<'_, i32>> = Pin::new(&mut numbers);
    assert!(!pinned.is_terminated());
}
