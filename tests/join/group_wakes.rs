//! Which of a group's children are polled, and when: wakers that call back while they are cloned,
//! and wakes that come together with the first failure.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use annulus::join::{GroupHandle, TaskGroup, task_group};
use annulus::sync::Event;
use annulus::yield_now;

use crate::common::manual_executor::waker_whose_clone;
use crate::common::watchdog::run;

type Group = TaskGroup<'static, &'static str>;

/// Polls a group that waits, with a waker whose `nth` clone calls `callback`, and expects that what
/// that asks for is done in this poll, or that the waker is woken. Returns whether there was such a
/// clone.
fn at_clone(
    nth: usize,
    callback: impl Fn(&Group) + 'static,
    is_done: impl Fn(Poll<()>) -> bool,
) -> bool {
    let outside: Rc<RefCell<Option<Group>>> = Rc::default();
    let its = Rc::clone(&outside);
    let mut group = pin!(task_group(async move |group: &Group| {
        *its.borrow_mut() = Some(group.clone());
        pending::<Result<(), _>>().await
    }));
    assert!(group.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let outside = outside.take().unwrap();
    let (clones, woken) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let (count, its) = (Rc::clone(&clones), Rc::clone(&woken));
    let cloned = move || {
        count.set(count.get() + 1);
        if count.get() == nth {
            callback(&outside);
        }
    };
    let waker = waker_whose_clone(cloned, move || its.set(true));
    let polled = group.as_mut().poll(&mut Context::from_waker(&waker)).map(drop);
    if clones.get() < nth {
        return false;
    }
    assert!(is_done(polled) || woken.get(), "clone {nth}: neither done nor is the group woken");
    true
}

#[test]
fn a_child_spawned_while_the_groups_waker_is_cloned_is_polled() {
    let spawned_at = |nth| {
        let ran = Rc::new(Cell::new(false));
        let its = Rc::clone(&ran);
        let spawn = move |group: &Group| {
            let its = Rc::clone(&its);
            group.spawn(async move {
                its.set(true);
                Ok(())
            });
        };
        at_clone(nth, spawn, |_| ran.get())
    };
    let clones = (1..9).take_while(|&nth| spawned_at(nth)).count();
    assert!((1..8).contains(&clones), "a poll clones the waker a few times: {clones}");
}

#[test]
fn a_group_cancelled_while_its_waker_is_cloned_ends() {
    let cancelled_at = |nth| at_clone(nth, Group::cancel, |polled| polled.is_ready());
    let clones = (1..9).take_while(|&nth| cancelled_at(nth)).count();
    assert!((1..8).contains(&clones), "a poll clones the waker a few times: {clones}");
}

#[test]
fn a_handle_whose_child_ends_while_its_waker_is_cloned_is_ready() {
    let outside: Rc<RefCell<Option<GroupHandle<u8>>>> = Rc::default();
    let its = Rc::clone(&outside);
    let mut group = Box::pin(task_group(async move |group: &Group| {
        *its.borrow_mut() = Some(group.spawn(pending::<Result<u8, _>>()));
        pending::<Result<(), _>>().await
    }));
    assert!(group.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let mut handle = outside.take().unwrap();
    let group = RefCell::new(Some(group));
    let woken = Rc::new(Cell::new(false));
    let its = Rc::clone(&woken);
    let waker = waker_whose_clone(move || drop(group.take()), move || its.set(true));
    let polled = pin!(&mut handle).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_ready() || woken.get(), "the child has ended, and its joiner is not told");
}

#[test]
fn a_child_that_a_sibling_wakes_in_the_poll_in_which_it_fails_is_polled_once_more() {
    run(async {
        for woken_first in [false, true] {
            let event = Event::new();
            let error = task_group(async |group| {
                let waiting = async {
                    event.wait().await;
                    yield_now().await;
                    Err::<(), _>("a second poll")
                };
                let failing = async {
                    event.wait().await;
                    Err::<(), _>("the one that was woken")
                };
                group.spawn(failing);
                group.spawn(waiting);
                group.spawn(async {
                    yield_now().await;
                    event.set();
                    if woken_first {
                        yield_now().await;
                    }
                    Err::<(), _>("the one that wakes")
                });
                pending::<Result<(), _>>().await
            });
            let mut errors = error.await.unwrap_err().into_errors();
            errors.sort_unstable();
            assert_eq!(errors, ["the one that wakes", "the one that was woken"]);
        }
    });
}
