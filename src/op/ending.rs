//! Operations whose futures are gone and that the kernel has not let go of.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Socket;
use crate::task::LocalWaker;

/// Counts operations on their way out, and lets one task wait for the last. The next operation in
/// the same direction of a stream waits so, or bytes would overtake each other.
#[derive(Default)]
pub(super) struct Ending {
    count: Cell<usize>,
    waiter: Cell<Option<LocalWaker>>,
}

impl Ending {
    fn begin(&self) {
        self.count.set(self.count.get() + 1);
    }

    fn end(&self) {
        self.count.set(self.count.get() - 1);
        if self.count.get() == 0 {
            if let Some(waiter) = self.waiter.take() {
                waiter.wake();
            }
        }
    }

    pub(super) fn poll_ended(&self, context: &Context<'_>) -> Poll<()> {
        if self.count.get() == 0 {
            return Poll::Ready(());
        }
        // Foreign code, which may have had the last one end: so look once more.
        let waker = LocalWaker::new(context.waker());
        if self.count.get() == 0 {
            return Poll::Ready(());
        }
        drop(self.waiter.replace(Some(waker)));
        Poll::Pending
    }
}

/// While it lives, one more operation of a socket is on its way out. It lives as long as what the
/// operation leaves behind, also if settling that panics.
pub(crate) struct Leaving {
    socket: Rc<Socket>,
    direction: Direction,
}

#[derive(Clone, Copy)]
enum Direction {
    Reading,
    Writing,
}

impl Leaving {
    /// One that receives.
    pub(super) fn reading(socket: &Rc<Socket>) -> Self {
        Self::new(socket, Direction::Reading)
    }

    /// One that sends.
    pub(super) fn writing(socket: &Rc<Socket>) -> Self {
        Self::new(socket, Direction::Writing)
    }

    fn new(socket: &Rc<Socket>, direction: Direction) -> Self {
        let leaving = Self { socket: Rc::clone(socket), direction };
        leaving.counter().begin();
        leaving
    }

    fn counter(&self) -> &Ending {
        match self.direction {
            Direction::Reading => &self.socket.reading,
            Direction::Writing => &self.socket.writing,
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.counter().end();
    }
}
