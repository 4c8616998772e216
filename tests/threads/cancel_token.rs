//! `CancelToken`: a request that is seen by all that hold the token or one below it, from any
//! thread.

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use annulus::join::{CancelToken, cancel_gracefully, gather};
use annulus::time::{sleep, timeout};
use annulus::{spawn, yield_now};

use crate::common::bounded::bounded;
use crate::common::conditions::poll_once;
use crate::common::drops::{Drops, Guard};
use crate::common::watchdog::run;

async fn endless(guard: Guard) {
    let _guard = guard;
    pending::<()>().await;
}

/// Does something when it is woken, and counts.
struct OnWake<F>(AtomicUsize, F);

impl<F: Fn() + Send + Sync + 'static> OnWake<F> {
    fn new(does: F) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0), does))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        (self.1)();
    }
}

fn poll_with<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn all_waiters_are_woken_and_later_ones_do_not_wait() {
    run(async {
        let token = CancelToken::new();
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let token = token.clone();
                spawn(async move { token.cancelled().await })
            })
            .collect();
        yield_now().await;
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()) && !token.is_cancelled());
        token.cancel();
        token.cancel();
        assert!(gather(waiters).await.into_iter().all(|outcome| outcome.is_ok()));
        assert!(token.is_cancelled() && poll_once(&mut token.cancelled()).is_ready());
    });
}

#[test]
fn children_are_cancelled_with_their_parent_but_not_the_other_way_round() {
    let root = CancelToken::new();
    let (left, right) = (root.child(), root.child());
    let leaf = left.child();
    left.cancel();
    assert_eq!(
        [&root, &left, &right, &leaf].map(CancelToken::is_cancelled),
        [false, true, false, true]
    );
    assert!(left.child().is_cancelled(), "made afterwards");
    root.cancel();
    assert!(right.is_cancelled());
}

#[test]
fn a_grandchild_is_reached_though_the_tokens_between_were_dropped() {
    let root = CancelToken::new();
    let leaf = root.child().child().child();
    root.cancel();
    assert!(leaf.is_cancelled());
}

#[test]
fn a_dropped_child_leaves_nothing_behind_in_its_parent() {
    let root = CancelToken::new();
    for _ in 0..1000 {
        drop(root.child());
        drop(root.cancelled());
    }
    let kept = root.child();
    drop(root.clone());
    root.cancel();
    assert!(kept.is_cancelled());
}

#[test]
fn a_chain_of_a_hundred_thousand_is_cancelled_and_dropped_without_using_up_the_stack() {
    let root = CancelToken::new();
    let mut leaf = root.child();
    for _ in 0..100_000 {
        leaf = leaf.child();
    }
    root.cancel();
    assert!(leaf.is_cancelled());
    drop(root);
    drop(leaf);
    let mut leaf = CancelToken::new();
    for _ in 0..100_000 {
        leaf = leaf.child();
    }
    drop(leaf);
}

#[test]
fn a_dropped_wait_is_not_woken_and_a_moved_wait_wakes_its_last_poller() {
    let token = CancelToken::new();
    let [dropped, first, second] = [(); 3].map(|()| OnWake::new(|| {}));
    let mut wait = Box::pin(token.cancelled());
    assert!(poll_with(wait.as_mut(), &dropped.clone().into()).is_pending());
    drop(wait);
    let mut wait = pin!(token.cancelled());
    assert!(poll_with(wait.as_mut(), &first.clone().into()).is_pending());
    assert!(poll_with(wait.as_mut(), &second.clone().into()).is_pending());
    token.cancel();
    assert_eq!([dropped.count(), first.count(), second.count()], [0, 0, 1]);
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[test]
fn a_waker_may_use_the_token_that_wakes_it() {
    let token = CancelToken::new();
    let its = token.clone();
    let waker = OnWake::new(move || {
        its.cancel();
        assert!(its.child().is_cancelled() && poll_once(&mut its.cancelled()).is_ready());
    });
    let mut wait = pin!(token.cancelled());
    assert!(poll_with(wait.as_mut(), &waker.clone().into()).is_pending());
    token.cancel();
    assert_eq!(waker.count(), 1);
}

#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    let token = CancelToken::new();
    let (bad, good) = (OnWake::new(|| panic!("of a waker")), OnWake::new(|| {}));
    let [mut first, mut second, mut third] = [(); 3].map(|()| Box::pin(token.cancelled()));
    for wait in [&mut first, &mut third] {
        assert!(poll_with(wait.as_mut(), &good.clone().into()).is_pending());
    }
    assert!(poll_with(second.as_mut(), &bad.clone().into()).is_pending());
    token.cancel();
    assert_eq!((bad.count(), good.count()), (1, 2));
}

#[test]
fn a_wait_that_is_forgotten_does_no_harm() {
    let token = CancelToken::new();
    let waker = OnWake::new(|| {});
    let mut wait = Box::pin(token.cancelled());
    assert!(poll_with(wait.as_mut(), &waker.clone().into()).is_pending());
    mem::forget(wait);
    token.cancel();
    assert_eq!(waker.count(), 1);
}

#[test]
fn requests_from_other_threads_are_seen_by_all() {
    run(async {
        for round in 0..50 {
            let token = CancelToken::new();
            let waiters: Vec<_> = (0..20)
                .map(|_| {
                    let child = token.child();
                    spawn(async move { child.cancelled().await })
                })
                .collect();
            if round % 2 == 0 {
                yield_now().await;
            }
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let token = token.clone();
                    thread::spawn(move || token.cancel())
                })
                .collect();
            assert!(gather(waiters).await.iter().all(Result::is_ok));
            for thread in threads {
                thread.join().unwrap();
            }
        }
    });
}

#[test]
fn children_made_while_another_thread_cancels_are_all_cancelled() {
    bounded(|| {
        for _ in 0..200 {
            let token = CancelToken::new();
            let its = token.clone();
            let thread = thread::spawn(move || its.cancel());
            let children: Vec<_> = (0..50).map(|_| token.child()).collect();
            thread.join().unwrap();
            assert!(children.iter().all(CancelToken::is_cancelled));
        }
    });
}

// Running until cancelled

#[test]
fn what_is_run_until_cancelled_is_dropped_by_the_request_and_else_gives_its_output() {
    let drops = Drops::default();
    run(async {
        let token = CancelToken::new();
        assert_eq!(token.run_until_cancelled(ready(5)).await, Some(5));
        let its = token.clone();
        let guard = drops.guard();
        let task = spawn(async move { its.run_until_cancelled(endless(guard)).await });
        yield_now().await;
        token.cancel();
        assert_eq!((task.await.unwrap(), drops.count()), (None, 1));
        let polled = Cell::new(false);
        assert!(token.run_until_cancelled(async { polled.set(true) }).await.is_none());
        assert!(!polled.get(), "the request was made before");
    });
}

#[test]
fn an_output_that_is_ready_with_the_request_counts() {
    run(async {
        let token = CancelToken::new();
        let output = token.run_until_cancelled(async {
            token.cancel();
            5
        });
        assert_eq!(output.await, Some(5));
    });
}

/// How often `again` has run when another task is polled.
async fn rounds_before_another_turn(mut again: impl AsyncFnMut()) -> usize {
    let rounds = Rc::new(Cell::new(0));
    let its = Rc::clone(&rounds);
    let other = spawn(async move { its.get() });
    for _ in 0..1000 {
        again().await;
        rounds.set(rounds.get() + 1);
    }
    other.await.unwrap()
}

#[test]
fn loops_that_ask_for_a_request_that_was_made_let_other_tasks_run() {
    run(async {
        let token = CancelToken::new();
        token.cancel();
        assert!(rounds_before_another_turn(async || token.cancelled().await).await < 1000);
        let run = async || assert!(token.run_until_cancelled(pending::<()>()).await.is_none());
        assert!(rounds_before_another_turn(run).await < 1000);
    });
}

#[test]
fn a_token_can_be_cancelled_by_a_scopes_end() {
    let token = CancelToken::new();
    let guard = token.cancel_on_drop();
    assert!(!token.is_cancelled());
    drop(guard);
    assert!(token.is_cancelled());
}

// Grace

#[test]
fn a_task_that_heeds_the_request_cleans_up_and_gives_its_output() {
    run(async {
        let token = CancelToken::new();
        let its = token.clone();
        let task = spawn(async move {
            its.cancelled().await;
            sleep(Duration::from_millis(1)).await;
            "cleaned up"
        });
        let outcome = cancel_gracefully(task, &token, Duration::from_secs(3600)).await;
        assert_eq!(outcome.unwrap(), "cleaned up");
    });
}

#[test]
fn a_task_that_does_not_heed_the_request_is_cancelled_after_the_grace_period() {
    let drops = Drops::default();
    run(async {
        let (token, grace) = (CancelToken::new(), Duration::from_millis(5));
        let task = spawn(endless(drops.guard()));
        let end = cancel_gracefully(task, &token, grace);
        assert!(token.is_cancelled(), "the request is made at once");
        assert!(timeout(grace / 5, pin!(end).as_mut()).await.is_err());
        let task = spawn(endless(drops.guard()));
        assert!(cancel_gracefully(task, &token, grace).await.unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 2, "the first one's end was dropped, which cancelled it");
    });
}
