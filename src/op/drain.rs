//! Draining: waiting for the operations on one object whose futures are gone and which the kernel
//! has not completed.
//!
//! What follows on the same object must not overtake them. The next read of a stream waits for
//! orphaned reads, because their bytes come first, and the next write for orphaned writes.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::task::LocalWaker;

/// Counts orphaned operations, and lets one task wait until there is none. An object on which
/// several may wait keeps a list of them ([`Drains::drained`]).
#[derive(Default)]
pub(super) struct DrainGate {
    orphans: Cell<usize>,
    waiter: Cell<Option<LocalWaker>>,
}

impl DrainGate {
    fn add(&self) {
        self.orphans.set(self.orphans.get() + 1);
    }

    /// Returns whether none is left.
    fn remove(&self) -> bool {
        self.orphans.set(self.orphans.get() - 1);
        if self.is_drained() {
            if let Some(waiter) = self.waiter.take() {
                waiter.wake();
            }
        }
        self.is_drained()
    }

    /// Whether no orphan is left.
    pub(super) fn is_drained(&self) -> bool {
        self.orphans.get() == 0
    }

    /// Waits until no orphan is left.
    pub(super) fn poll_drained(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_drained() {
            return Poll::Ready(());
        }
        // Cloning a waker is foreign code, which may have completed the last orphan: look once
        // more.
        let waker = LocalWaker::new(context.waker());
        if self.is_drained() {
            return Poll::Ready(());
        }
        drop(self.waiter.replace(Some(waker)));
        Poll::Pending
    }
}

/// The two directions of an object, which drain apart.
#[derive(Default)]
pub(crate) struct DrainGates {
    pub(super) reads: DrainGate,
    pub(super) writes: DrainGate,
}

/// An object whose orphans are waited for.
pub(crate) trait Drains {
    fn gates(&self) -> &DrainGates;

    /// No orphan is left in one direction. Runs foreign code.
    fn drained(&self) {}
}

/// While it lives, one more operation of an object is an orphan. It is dropped after what the
/// operation leaves behind, even if disposing of that panics.
pub(crate) struct Draining {
    object: Rc<dyn Drains>,
    direction: Direction,
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

impl Draining {
    /// An orphaned read.
    pub(super) fn read<T: Drains + 'static>(object: &Rc<T>) -> Self {
        Self::new(Rc::<T>::clone(object), Direction::Read)
    }

    /// An orphaned write.
    pub(super) fn write<T: Drains + 'static>(object: &Rc<T>) -> Self {
        Self::new(Rc::<T>::clone(object), Direction::Write)
    }

    fn new(object: Rc<dyn Drains>, direction: Direction) -> Self {
        let draining = Self { object, direction };
        draining.gate().add();
        draining
    }

    fn gate(&self) -> &DrainGate {
        let gates = self.object.gates();
        match self.direction {
            Direction::Read => &gates.reads,
            Direction::Write => &gates.writes,
        }
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        if self.gate().remove() {
            self.object.drained();
        }
    }
}
