//! `gather` and `try_gather`: the order of outcomes, what a wake costs, and what becomes of the
//! children when the gathering ends before them.

use std::cell::{Cell, RefCell};
use std::future::{Future, IntoFuture, pending, poll_fn, ready};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use annulus::join::{gather, try_gather};
use annulus::task::{JoinError, JoinHandle};
use annulus::time::{sleep, timeout};
use annulus::{spawn, yield_now};

use crate::common::conditions::{Log, poll_once};
use crate::common::drops::{Drops, Guard};
use crate::common::panics::{message, panic_of};
use crate::common::watchdog::run;

/// Ends after `rounds` further polls.
async fn after(rounds: usize) -> usize {
    for _ in 0..rounds {
        yield_now().await;
    }
    rounds
}

/// Never ends, and drops `guard` when it is dropped.
async fn endless(guard: Guard) {
    let _guard = guard;
    pending::<()>().await;
}

async fn fails(rounds: usize) -> Result<usize, &'static str> {
    after(rounds).await;
    Err("failed")
}

// Order

#[test]
fn outputs_are_in_the_order_of_the_arguments_whatever_the_order_of_ending() {
    run(async {
        assert_eq!(gather((after(3), after(1), after(2))).await, (3, 1, 2));
        assert_eq!(gather([after(3), after(1), after(2)]).await, [3, 1, 2]);
        assert_eq!(gather(vec![after(3), after(1), after(2)]).await, [3, 1, 2]);
        assert_eq!(gather([3, 1, 2].into_iter().map(after)).await, [3, 1, 2]);
        let handles = [3, 1, 2].map(|rounds| spawn(after(rounds)));
        assert_eq!(gather(handles).await.map(Result::unwrap), [3, 1, 2]);
        let mut handles = Vec::from([spawn(after(2)), spawn(after(1))]);
        let outcomes = gather(handles.iter_mut()).await;
        assert!(outcomes.into_iter().map(Result::unwrap).eq([2, 1]));
    });
}

#[test]
fn members_of_a_tuple_may_be_futures_and_handles_of_different_outputs() {
    run(async {
        let mut borrowed = spawn(ready("borrowed"));
        let (a, b, c) = gather((after(1), spawn(ready('b')), &mut borrowed)).await;
        assert_eq!((a, b.unwrap(), c.unwrap()), (1, 'b', "borrowed"));
        let twelve = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
        let ready = |n: i32| ready(n);
        let all = gather((
            ready(1),
            ready(2),
            ready(3),
            ready(4),
            ready(5),
            ready(6),
            ready(7),
            ready(8),
            ready(9),
            ready(10),
            ready(11),
            ready(12),
        ));
        assert_eq!(all.await, twelve);
    });
}

#[test]
fn a_gather_of_nothing_is_ready_at_once() {
    run(async {
        let none: Vec<std::future::Ready<()>> = Vec::new();
        assert!(
            matches!(poll_once(&mut Box::pin(gather(none))), Poll::Ready(outputs) if outputs.is_empty())
        );
        let none: [JoinHandle<()>; 0] = [];
        assert!(poll_once(&mut Box::pin(gather(none))).is_ready());
        let none: [std::future::Ready<Result<(), ()>>; 0] = [];
        assert_eq!(poll_once(&mut Box::pin(try_gather(none))), Poll::Ready(Ok([])));
    });
}

#[test]
fn a_task_that_fails_is_an_outcome_and_ends_no_other() {
    run(async {
        let panics = spawn(async {
            yield_now().await;
            panic!("of a task")
        });
        let cancelled = spawn(pending::<()>());
        cancelled.cancel();
        let [a, b, c] = gather([panics, cancelled, spawn(yield_now())]).await;
        assert!(
            matches!(a, Err(JoinError::Panicked(payload)) if message(&*payload) == "of a task")
        );
        assert!(matches!(b, Err(JoinError::Cancelled)));
        assert!(c.is_ok());
    });
}

#[test]
fn gathers_may_be_gathered() {
    run(async {
        let inner = |n: usize| gather([after(n), after(n + 1)]);
        assert_eq!(gather([inner(1), inner(3)]).await, [[1, 2], [3, 4]]);
        assert_eq!(gather((gather((after(1), after(2))), after(0))).await, ((1, 2), 0));
    });
}

// What a wake costs

/// Futures that count their polls and end when they are let.
#[derive(Clone, Default)]
struct Polls {
    children: Rc<RefCell<Vec<Counted>>>,
    /// How many may end.
    open: Rc<Cell<usize>>,
}

#[derive(Default)]
struct Counted {
    polls: usize,
    waker: Option<Waker>,
}

impl Polls {
    /// The next future.
    fn child(&self) -> impl Future<Output = usize> + use<> {
        let (its, number) = (self.clone(), self.children.borrow().len());
        self.children.borrow_mut().push(Counted::default());
        poll_fn(move |context| {
            let child = &mut its.children.borrow_mut()[number];
            child.polls += 1;
            if number < its.open.get() {
                return Poll::Ready(number);
            }
            child.waker = Some(context.waker().clone());
            Poll::Pending
        })
    }

    /// Lets the next one end.
    fn open(&self) {
        let number = self.open.get();
        self.open.set(number + 1);
        let waker = self.children.borrow_mut()[number].waker.take();
        waker.expect("it waits").wake();
    }

    fn counts(&self) -> Vec<usize> {
        self.children.borrow().iter().map(|child| child.polls).collect()
    }

    fn have_begun(&self) -> bool {
        self.children.borrow().last().is_some_and(|child| child.polls > 0)
    }
}

#[test]
fn a_child_is_polled_once_for_each_of_its_wakes_also_among_a_hundred_thousand() {
    const MANY: usize = 100_000;
    run(async {
        let polls = Polls::default();
        let all = gather((0..MANY).map(|_| polls.child()).collect::<Vec<_>>());
        let its = polls.clone();
        let opener = spawn(async move {
            // After the children's first polls, which are spread over turns.
            while !its.have_begun() {
                sleep(Duration::from_millis(1)).await;
            }
            for number in 0..MANY {
                its.open();
                // One wake of the parent each, for the first ones.
                if number < 1000 {
                    yield_now().await;
                }
            }
        });
        assert!(all.await.into_iter().eq(0..MANY));
        opener.await.unwrap();
        assert!(polls.counts().iter().all(|&count| count == 2));
    });
}

#[test]
fn try_gather_polls_each_child_once_for_each_of_its_wakes() {
    run(async {
        let polls = Polls::default();
        let children = (0..1000).map(|_| {
            let child = polls.child();
            async move { Ok::<_, ()>(child.await) }
        });
        let all = spawn(try_gather(children.collect::<Vec<_>>()).into_future());
        while !polls.have_begun() {
            yield_now().await;
        }
        for _ in 0..1000 {
            polls.open();
            yield_now().await;
        }
        assert!(all.await.unwrap().unwrap().into_iter().eq(0..1000));
        assert!(polls.counts().iter().all(|&count| count == 2));
    });
}

#[test]
fn a_wake_of_the_parent_alone_polls_no_child() {
    run(async {
        let polls = Polls::default();
        let mut all = Box::pin(gather(vec![polls.child(), polls.child()]));
        for _ in 0..5 {
            assert!(poll_once(&mut all).is_pending());
        }
        assert_eq!(polls.counts(), [1, 1]);
    });
}

#[test]
fn children_that_are_always_ready_let_other_tasks_run() {
    run(async {
        let stop = Rc::new(Cell::new(false));
        let busy = |_| {
            let stop = Rc::clone(&stop);
            async move {
                while !stop.get() {
                    yield_now().await;
                }
            }
        };
        let all = spawn(gather((0..1000).map(busy).collect::<Vec<_>>()).into_future());
        sleep(Duration::from_millis(5)).await;
        stop.set(true);
        assert_eq!(all.await.unwrap().len(), 1000);
    });
}

#[test]
fn a_child_woken_from_another_thread_is_polled() {
    run(async {
        let flags: Vec<_> = (0..10).map(|_| Arc::new(AtomicBool::new(false))).collect();
        let child = |flag: &Arc<AtomicBool>| {
            let flag = Arc::clone(flag);
            let mut started = false;
            poll_fn(move |context| {
                if flag.load(Ordering::Acquire) {
                    return Poll::Ready(());
                }
                if !mem::replace(&mut started, true) {
                    let (flag, waker) = (Arc::clone(&flag), context.waker().clone());
                    thread::spawn(move || {
                        flag.store(true, Ordering::Release);
                        waker.wake();
                    });
                }
                Poll::Pending
            })
        };
        assert_eq!(gather(flags.iter().map(child)).await.len(), 10);
    });
}

#[test]
fn a_waker_kept_beyond_the_end_of_its_child_does_no_harm() {
    run(async {
        let kept = Rc::new(RefCell::new(None::<Waker>));
        let its = Rc::clone(&kept);
        let first = poll_fn(move |context| {
            *its.borrow_mut() = Some(context.waker().clone());
            Poll::Ready(1)
        });
        let its = Rc::clone(&kept);
        let second = async move {
            its.borrow().as_ref().unwrap().wake_by_ref();
            yield_now().await;
            its.borrow().as_ref().unwrap().wake_by_ref();
            2
        };
        let first: std::pin::Pin<Box<dyn Future<Output = i32>>> = Box::pin(first);
        assert_eq!(gather(vec![first, Box::pin(second)]).await, [1, 2]);
        kept.take().unwrap().wake();
    });
}

// Ending before the children

#[test]
fn a_dropped_gather_drops_its_futures_and_cancels_the_tasks_of_handles_by_value() {
    let drops = Drops::default();
    run(async {
        let futures = gather([endless(drops.guard()), endless(drops.guard())]);
        let handles = gather([spawn(endless(drops.guard())), spawn(endless(drops.guard()))]);
        let tuple = gather((spawn(endless(drops.guard())), endless(drops.guard())));
        let all = gather((futures, handles, tuple));
        timeout(Duration::from_millis(1), all).await.unwrap_err();
        yield_now().await;
        assert_eq!(drops.count(), 6);
    });
}

#[test]
fn a_gather_dropped_before_its_first_poll_cancels_its_tasks() {
    let drops = Drops::default();
    run(async {
        drop(gather([spawn(endless(drops.guard()))]));
        drop(gather((spawn(endless(drops.guard())),)));
        let fallible = |guard| {
            spawn(async {
                endless(guard).await;
                Ok::<(), ()>(())
            })
        };
        drop(try_gather([fallible(drops.guard())]));
        drop(try_gather((fallible(drops.guard()),)));
        yield_now().await;
        assert_eq!(drops.count(), 4);
    });
}

#[test]
fn a_dropped_gather_leaves_the_tasks_of_borrowed_handles_alone() {
    let drops = Drops::default();
    run(async {
        let mut handles = [spawn(endless(drops.guard())), spawn(endless(drops.guard()))];
        timeout(Duration::from_millis(1), gather(handles.iter_mut())).await.unwrap_err();
        let [first, second] = &mut handles;
        timeout(Duration::from_millis(1), gather((first, second))).await.unwrap_err();
        yield_now().await;
        assert_eq!(drops.count(), 0);
        assert!(handles.iter().all(|handle| !handle.is_finished()));
    });
}

#[test]
fn cancelling_the_task_that_gathers_cancels_what_it_gathers() {
    let drops = Drops::default();
    run(async {
        let children = [spawn(endless(drops.guard())), spawn(endless(drops.guard()))];
        let parent = spawn(async { gather(children).await });
        yield_now().await;
        parent.cancel();
        assert!(parent.await.unwrap_err().is_cancelled());
        yield_now().await;
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_forgotten_gather_does_no_harm() {
    run(async {
        let text = String::from("borrowed by the children");
        let child = |n: usize| {
            let text = &text;
            async move {
                after(n).await;
                text.len()
            }
        };
        let mut all = Box::pin(gather([child(1), child(2)]));
        assert!(poll_once(&mut all).is_pending());
        mem::forget(all);
        drop(text);
        yield_now().await;
    });
}

#[test]
fn a_panic_of_a_future_goes_through_and_drops_the_others() {
    let drops = Drops::default();
    let panicked = panic_of(|| {
        run(async {
            let panics = |guard| async {
                yield_now().await;
                drop::<Guard>(guard);
                panic!("of a child")
            };
            let children: [std::pin::Pin<Box<dyn Future<Output = ()>>>; 3] = [
                Box::pin(endless(drops.guard())),
                Box::pin(panics(drops.guard())),
                Box::pin(endless(drops.guard())),
            ];
            gather(children).await;
        });
    });
    assert_eq!((panicked.as_str(), drops.count()), ("of a child", 3));
}

#[test]
fn a_panic_of_one_destructor_keeps_no_other_child_from_being_dropped() {
    let drops = Drops::default();
    run(async {
        let children = (0..10).map(|number| {
            let bomb = (number == 3).then(|| drops.bomb("of a destructor"));
            let guard = drops.guard();
            async move {
                let _both = (bomb, guard);
                pending::<()>().await;
            }
        });
        let mut all = Box::pin(gather(children));
        assert!(poll_once(&mut all).is_pending());
        let panic = catch_unwind(AssertUnwindSafe(|| drop(all))).unwrap_err();
        assert_eq!((message(&*panic).as_str(), drops.count()), ("of a destructor", 11));
    });
}

// The first error

#[test]
fn the_first_error_comes_at_once_and_the_others_are_dropped() {
    let drops = Drops::default();
    run(async {
        let child = |fail: bool| {
            let guard = drops.guard();
            async move {
                let _guard = guard;
                if fail {
                    return fails(2).await;
                }
                pending().await
            }
        };
        let error = try_gather([child(false), child(true), child(false)]).await;
        assert_eq!((error, drops.count()), (Err("failed"), 3));
        let error = try_gather((child(false), child(true), child(false))).await;
        assert_eq!((error, drops.count()), (Err("failed"), 6));
    });
}

#[test]
fn try_gather_without_an_error_gives_the_values_in_the_order_of_the_arguments() {
    run(async {
        let child = |n: usize| async move { Ok::<_, ()>(after(n).await) };
        assert_eq!(try_gather([3, 1, 2].map(child)).await, Ok([3, 1, 2]));
        assert_eq!(try_gather(vec![child(2), child(1)]).await, Ok(vec![2, 1]));
        assert_eq!(try_gather((child(1), async { Ok("two") })).await, Ok((1, "two")));
    });
}

#[test]
fn the_first_task_that_panics_ends_a_try_gather_of_handles_and_cancels_the_others() {
    let drops = Drops::default();
    run(async {
        let left = spawn(endless(drops.guard()));
        let panics = spawn(async { panic!("of a task") });
        let error = try_gather([left, panics]).await.unwrap_err();
        assert!(error.is_panic());
        yield_now().await;
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn try_gather_returns_the_first_of_two_errors() {
    run(async {
        let log = Log::default();
        let child = |n: usize| {
            let log = log.clone();
            async move {
                after(n).await;
                log.push(n);
                Err::<(), _>(n)
            }
        };
        assert_eq!(try_gather([3, 1, 2].map(child)).await, Err(1));
        assert_eq!(log.take(), [1]);
    });
}
