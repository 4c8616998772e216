//! Combinators driven by random wakes, polls and drops, without a runtime, against plain models of
//! what they have to give.
//!
//! The rules that hold after every step:
//!
//! - if a child that may end has been woken and its output was not given yet, then the parent's
//!   waker
//!   has been woken since the parent was last polled, or the last poll gave something;
//! - a child is polled once at first, and then at most once for each of its wakes;
//! - what is dropped drops each child once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use annulus::join::{as_completed, gather, task_group, try_gather};
use fastrand::Rng;
use futures_util::Stream;

use crate::common::bounded::bounded;
use crate::common::random::seeded;

const ROUNDS: usize = 300;

/// Whether a task was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A future under the test's control.
#[derive(Default)]
struct Child {
    open: Cell<bool>,
    polls: Cell<usize>,
    wakes: Cell<usize>,
    dropped: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Child {
    fn wake(&self, random: &mut Rng) {
        self.wakes.set(self.wakes.get() + 1);
        let waker = random.choice(&*self.wakers.borrow()).cloned();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct DropNote(Rc<Child>);

impl Drop for DropNote {
    fn drop(&mut self) {
        assert!(!self.0.dropped.replace(true), "a child is dropped once");
    }
}

/// All children of one combinator, and its poller.
struct World {
    random: Rng,
    children: Vec<Rc<Child>>,
    parent: Arc<Woken>,
}

impl World {
    fn new(random: &mut Rng) -> Self {
        let children = (0..random.usize(1..40)).map(|_| Rc::default()).collect();
        Self { random: random.fork(), children, parent: Arc::default() }
    }

    fn futures(&self) -> Vec<impl Future<Output = usize> + use<>> {
        self.children.iter().enumerate().map(|(index, child)| future(index, child)).collect()
    }

    /// Wakes children at random, some of which may end, also ones that have ended.
    fn disturb(&mut self) {
        for _ in 0..self.random.usize(0..6) {
            let child = Rc::clone(&self.children[self.random.usize(..self.children.len())]);
            if self.random.u8(..3) == 0 && child.polls.get() > 0 {
                child.open.set(true);
            }
            child.wake(&mut self.random);
        }
    }

    /// Lets all end.
    fn open_all(&mut self) {
        for child in self.children.clone() {
            child.open.set(true);
            child.wake(&mut self.random);
        }
    }

    /// Polls as the parent, sometimes with another waker than before, if it was woken or now and
    /// then.
    fn poll<T>(&mut self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Option<Poll<T>> {
        if !self.parent.0.swap(false, Ordering::SeqCst) && self.random.u8(..4) > 0 {
            return None;
        }
        if self.random.u8(..4) == 0 {
            self.parent = Arc::default();
        }
        let waker = Waker::from(Arc::clone(&self.parent));
        Some(poll(&mut Context::from_waker(&waker)))
    }

    fn is_woken(&self) -> bool {
        self.parent.0.load(Ordering::SeqCst)
    }

    /// Each child has been polled no more than its wakes say; or all together, if they share
    /// wakers.
    fn assert_polls(&self, shared_wakers: bool) {
        let counts = self.children.iter().map(|child| (child.polls.get(), 1 + child.wakes.get()));
        if shared_wakers {
            let (polls, most) =
                counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
            assert!(polls <= most);
        } else {
            assert!(counts.into_iter().all(|(polls, most)| polls <= most));
        }
    }

    fn assert_dropped(&self) {
        assert!(self.children.iter().all(|child| child.dropped.get()));
    }
}

fn future(index: usize, child: &Rc<Child>) -> impl Future<Output = usize> + use<> {
    let note = DropNote(Rc::clone(child));
    poll_fn(move |context| {
        let child = &note.0;
        child.polls.set(child.polls.get() + 1);
        if child.open.get() {
            return Poll::Ready(index);
        }
        child.wakers.borrow_mut().push(context.waker().clone());
        Poll::Pending
    })
}

fn rounds(shared_wakers: bool, mut round: impl FnMut(&mut World)) {
    bounded(|| {
        let mut random = seeded();
        for _ in 0..ROUNDS {
            let mut world = World::new(&mut random);
            round(&mut world);
            world.assert_polls(shared_wakers);
            world.assert_dropped();
        }
    });
}

#[test]
fn as_completed_gives_each_output_once_and_no_wake_is_lost() {
    rounds(false, |world| {
        let mut completed = as_completed(world.futures());
        world.parent.0.store(true, Ordering::SeqCst);
        let mut left: BTreeSet<_> = (0..world.children.len()).collect();
        let steps = world.random.usize(..200);
        for step in 0.. {
            match step {
                _ if step < steps => world.disturb(),
                _ if step == steps && world.random.bool() => return,
                _ if step == steps => world.open_all(),
                _ => {}
            }
            match world.poll(|context| Pin::new(&mut completed).poll_next(context)) {
                Some(Poll::Ready(Some((index, output)))) => {
                    assert!(
                        index == output && left.remove(&index) && world.children[index].open.get()
                    );
                    world.parent.0.store(true, Ordering::SeqCst);
                }
                Some(Poll::Ready(None)) => {
                    assert!(left.is_empty());
                    break;
                }
                Some(Poll::Pending) | None => {
                    let due = left.iter().any(|&index| world.children[index].open.get());
                    assert!(world.is_woken() || !due, "a wake was lost");
                }
            }
            assert_eq!(completed.remaining(), left.len());
        }
    });
}

#[test]
fn gather_ends_when_all_have_ended_and_no_wake_is_lost() {
    rounds(false, |world| {
        let mut all = Box::pin(gather(world.futures()));
        world.parent.0.store(true, Ordering::SeqCst);
        let steps = world.random.usize(..200);
        for step in 0.. {
            match step {
                _ if step < steps => world.disturb(),
                _ if step == steps && world.random.bool() => return,
                _ if step == steps => world.open_all(),
                _ => {}
            }
            let ended = world.children.iter().all(|child| child.open.get());
            match world.poll(|context| all.as_mut().poll(context)) {
                Some(Poll::Ready(outputs)) => {
                    assert!(ended && outputs.into_iter().eq(0..world.children.len()));
                    break;
                }
                _ => assert!(world.is_woken() || !ended, "a wake was lost"),
            }
        }
    });
}

#[test]
fn try_gather_ends_with_the_first_failure_and_drops_the_others() {
    rounds(false, |world| {
        let fails = world.random.usize(..2 * world.children.len());
        let futures = world.futures().into_iter().map(|future| async move {
            let index = future.await;
            if index == fails { Err(index) } else { Ok(index) }
        });
        let mut all = Box::pin(try_gather(futures.collect::<Vec<_>>()));
        world.parent.0.store(true, Ordering::SeqCst);
        let steps = world.random.usize(..200);
        for step in 0.. {
            match step {
                _ if step < steps => world.disturb(),
                _ if step == steps => world.open_all(),
                _ => {}
            }
            match world.poll(|context| all.as_mut().poll(context)) {
                Some(Poll::Ready(Ok(outputs))) => {
                    assert!(fails >= world.children.len());
                    assert!(outputs.into_iter().eq(0..world.children.len()));
                    break;
                }
                Some(Poll::Ready(Err(error))) => {
                    assert!(error == fails);
                    world.assert_dropped();
                    break;
                }
                Some(Poll::Pending) | None => {
                    let failing = world.children.get(fails).is_some_and(|child| child.open.get());
                    assert!(world.is_woken() || !failing, "a wake was lost");
                }
            }
        }
    });
}

#[test]
fn a_group_takes_children_at_any_time_and_ends_with_all_or_with_the_first_failure() {
    rounds(true, |world| {
        let fails = world.random.usize(..3 * world.children.len());
        let futures = world.futures();
        let count = futures.len();
        let tree = RefCell::new(futures.into_iter().enumerate());
        let ended = Cell::new(0);
        // Some members begin together, and each takes one future after the other.
        let together = world.random.usize(1..=count);
        let (tree, ended) = (&tree, &ended);
        let mut group = Box::pin(task_group(async |group| {
            for _ in 0..together {
                let group = group.clone();
                group.clone().spawn(async move {
                    loop {
                        let Some((index, future)) = tree.borrow_mut().next() else { break };
                        future.await;
                        ended.set(ended.get() + 1);
                        if index == fails {
                            return Err(index);
                        }
                        if index % 3 == 0 {
                            group.spawn(async { Ok(()) });
                        }
                    }
                    Ok(())
                });
            }
            Ok(())
        }));
        world.parent.0.store(true, Ordering::SeqCst);
        let steps = world.random.usize(..200);
        for step in 0.. {
            match step {
                _ if step < steps => world.disturb(),
                _ if step == steps && world.random.u8(..4) == 0 => break,
                _ if step >= steps => world.open_all(),
                _ => {}
            }
            match world.poll(|context| group.as_mut().poll(context)) {
                Some(Poll::Ready(Ok(()))) => {
                    assert!(fails >= count && ended.get() == count);
                    break;
                }
                Some(Poll::Ready(Err(error))) => {
                    assert_eq!(error.errors(), [fails]);
                    break;
                }
                Some(Poll::Pending) | None => {}
            }
        }
        drop(group);
        tree.borrow_mut().by_ref().for_each(drop);
    });
}
