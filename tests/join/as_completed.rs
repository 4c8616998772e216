//! `as_completed`: outputs in the order in which they come, each with where it came from.

use std::future::{Future, pending};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;

use annulus::join::as_completed;
use annulus::time::{Elapsed, pause, sleep, timeout};
use annulus::{spawn, yield_now};
use futures_util::stream::FusedStream;
use futures_util::{FutureExt, Stream, StreamExt};

use crate::common::drops::{Drops, Guard};
use crate::common::panics::message;
use crate::common::watchdog::run;

async fn after(turns: usize) -> usize {
    for _ in 0..turns {
        yield_now().await;
    }
    turns
}

async fn endless(guard: Guard) {
    let _guard = guard;
    pending::<()>().await;
}

#[test]
fn outputs_come_in_the_order_of_ending_and_say_which_child_ended() {
    run(async {
        let futures: Vec<_> = as_completed([3, 1, 2].map(after)).collect().await;
        assert_eq!(futures, [(1, 1), (2, 2), (0, 3)]);
        let tasks = as_completed([3, 1, 2].map(|turns| spawn(after(turns))));
        let tasks: Vec<_> = tasks.map(|(index, output)| (index, output.unwrap())).collect().await;
        assert_eq!(tasks, [(1, 1), (2, 2), (0, 3)]);
    });
}

#[test]
fn children_that_end_together_come_in_the_order_given() {
    run(async {
        let all: Vec<_> = as_completed([2, 2, 2].map(after)).collect().await;
        assert_eq!(all, [(0, 2), (1, 2), (2, 2)]);
    });
}

#[test]
fn as_completed_of_nothing_is_an_empty_stream() {
    run(async {
        let none: [std::future::Pending<()>; 0] = [];
        assert_eq!(as_completed(none).next().await, None);
        let none: [std::future::Pending<()>; 0] = [];
        assert_eq!(as_completed(none).timeout(Duration::ZERO).next().await, None);
    });
}

#[test]
fn the_stream_is_terminated_after_its_last_output_or_when_its_limit_has_elapsed() {
    run(async {
        assert!(as_completed([] as [std::future::Pending<()>; 0]).is_terminated());
        let mut completed = as_completed([after(0), after(1)]);
        for _ in 0..2 {
            assert!(!completed.is_terminated());
            completed.next().await.unwrap();
        }
        assert!(completed.is_terminated());

        let limit = Duration::from_millis(1);
        let mut completed = as_completed([after(0)]).timeout(Duration::MAX);
        assert!(!completed.is_terminated());
        completed.next().await.unwrap().unwrap();
        assert!(completed.is_terminated());
        let mut completed = as_completed([pending::<()>()]).timeout(limit);
        assert!(!completed.is_terminated());
        completed.next().await.unwrap().unwrap_err();
        assert!(completed.is_terminated());
        assert!(!completed.resume().is_terminated());
    });
}

#[test]
fn the_stream_may_be_left_and_taken_up_again() {
    run(async {
        let mut completed = as_completed([1, 2, 3].map(after));
        while let Some((index, _)) = completed.next().await {
            if index == 0 {
                break;
            }
        }
        assert_eq!((completed.remaining(), completed.size_hint()), (2, (0, Some(2))));
        // Woken while no task polls the stream:
        sleep(Duration::from_millis(1)).await;
        let rest: Vec<_> = completed.collect().await;
        assert_eq!(rest, [(1, 2), (2, 3)]);
    });
}

#[test]
fn an_await_of_the_next_that_is_dropped_loses_nothing() {
    run(async {
        let mut completed = as_completed([5, 6].map(after));
        for _ in 0..3 {
            assert!(completed.next().now_or_never().is_none());
            yield_now().await;
        }
        let all: Vec<_> = completed.collect().await;
        assert_eq!(all, [(0, 5), (1, 6)]);
    });
}

#[test]
fn the_stream_may_move_to_another_task() {
    run(async {
        let mut completed = as_completed([1, 30, 30].map(after));
        assert_eq!(completed.next().await, Some((0, 1)));
        let rest = spawn(async move { completed.collect::<Vec<_>>().await });
        assert_eq!(rest.await.unwrap(), [(1, 30), (2, 30)]);
    });
}

#[test]
fn as_completed_reports_its_deadline_once_and_cancels_nothing() {
    let drops = Drops::default();
    run(async {
        let mut tasks = [spawn(endless(drops.guard())), spawn(endless(drops.guard()))];
        let mut completed = as_completed(&mut tasks).timeout(Duration::from_millis(1));
        assert_eq!(completed.next().await.unwrap().unwrap_err(), Elapsed);
        assert!(completed.next().await.is_none());
        assert_eq!((completed.remaining(), drops.count()), (2, 0));
        tasks[1].cancel();
        let mut rest = as_completed(&mut tasks);
        let (index, outcome) = rest.next().await.unwrap();
        assert!(index == 1 && outcome.unwrap_err().is_cancelled());
    });
}

#[test]
fn the_limit_is_for_all_together_and_what_is_ready_when_it_is_up_still_comes() {
    run(async {
        // What is polled only after the limit is not ready.
        pause();
        let limit = Duration::from_millis(5);
        let mut completed = as_completed([after(0), after(0)]).timeout(limit);
        sleep(2 * limit).await;
        assert_eq!(completed.next().await, Some(Ok((0, 0))));
        assert_eq!(completed.next().await, Some(Ok((1, 0))));
        assert_eq!(completed.next().await, None);
        let mut ticks = [sleep(limit), sleep(2 * limit), sleep(Duration::from_secs(3600))];
        let given: Vec<_> = as_completed(&mut ticks).timeout(3 * limit).collect().await;
        assert_eq!(given, [Ok((0, ())), Ok((1, ())), Err(Elapsed)]);
    });
}

#[test]
fn outputs_can_still_be_taken_after_the_deadline() {
    run(async {
        pause();
        let sleeps = [1, 20].map(|millis| sleep(Duration::from_millis(millis)));
        let mut completed = as_completed(sleeps).timeout(Duration::from_millis(10));
        let within: Vec<_> = completed.by_ref().collect().await;
        assert_eq!(within, [Ok((0, ())), Err(Elapsed)]);
        let mut rest = completed.resume().timeout(Duration::from_secs(9));
        assert_eq!(rest.next().await, Some(Ok((1, ()))));
    });
}

#[test]
fn a_dropped_as_completed_cancels_what_it_owns_and_leaves_borrowed_tasks_alone() {
    let drops = Drops::default();
    run(async {
        let mut completed = as_completed([spawn(endless(drops.guard()))]);
        timeout(Duration::from_millis(1), completed.next()).await.unwrap_err();
        drop(completed);
        drop(as_completed([endless(drops.guard())]));
        drop(as_completed([spawn(endless(drops.guard()))]));
        yield_now().await;
        assert_eq!(drops.count(), 3);
        let mut tasks = [spawn(endless(drops.guard()))];
        drop(as_completed(&mut tasks));
        yield_now().await;
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_panic_of_a_future_goes_through_and_the_others_can_still_be_had() {
    run(async {
        let panics = async {
            yield_now().await;
            panic!("of a child")
        };
        let children: [Pin<Box<dyn Future<Output = usize>>>; 3] =
            [Box::pin(after(0)), Box::pin(panics), Box::pin(after(9))];
        let mut completed = as_completed(children);
        assert_eq!(completed.next().await, Some((0, 0)));
        let panic = AssertUnwindSafe(completed.next()).catch_unwind().await.unwrap_err();
        assert_eq!((message(&*panic).as_str(), completed.remaining()), ("of a child", 1));
        assert_eq!(completed.next().await, Some((2, 9)));
        assert_eq!(completed.next().await, None);
    });
}

#[test]
fn a_destructor_that_panics_keeps_no_other_child_from_being_dropped() {
    let drops = Drops::default();
    run(async {
        let bomb = drops.bomb("of a destructor");
        let with_bomb = async move {
            let _bomb = bomb;
            pending::<()>().await;
        };
        let children: [Pin<Box<dyn Future<Output = ()>>>; 3] = [
            Box::pin(endless(drops.guard())),
            Box::pin(with_bomb),
            Box::pin(endless(drops.guard())),
        ];
        let completed = as_completed(children);
        catch_unwind(AssertUnwindSafe(|| drop(completed))).unwrap_err();
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_forgotten_as_completed_does_no_harm() {
    run(async {
        let text = String::from("borrowed");
        let child = async || {
            yield_now().await;
            text.len()
        };
        let mut completed = as_completed([child(), child()]);
        assert!(completed.next().now_or_never().is_none());
        mem::forget(completed);
        drop(text);
        yield_now().await;
    });
}
