//! What listeners and servers have met: counters, and those who wait for a descriptor.
//!
//! When the process has run out of descriptors, a listener tries again after a pause. When this
//! runtime closes a socket, there is a descriptor again, and the pause is over.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use super::{Driver, Metrics};
use crate::error::catch_panic;

#[derive(Default)]
pub(super) struct Accepts {
    stalls: Cell<u64>,
    errors: Cell<u64>,
    disconnects: Cell<u64>,
    /// How many sockets have been closed.
    closes: Cell<u64>,
    /// Those who wait for a close.
    waiting: RefCell<Vec<Waker>>,
}

impl Accepts {
    pub(super) fn fill(&self, metrics: &mut Metrics) {
        metrics.accept_stalls = self.stalls.get();
        metrics.accept_errors = self.errors.get();
        metrics.peer_disconnects = self.disconnects.get();
    }
}

fn increment(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl Driver {
    /// Counts an accept that had to wait because descriptors or memory had run out.
    pub(crate) fn note_accept_stall(&self) {
        increment(&self.accepts.stalls);
    }

    /// Counts an accept that failed otherwise.
    pub(crate) fn note_accept_error(&self) {
        increment(&self.accepts.errors);
    }

    /// Counts a handler that ended because its peer was gone.
    pub(crate) fn note_disconnect(&self) {
        increment(&self.accepts.disconnects);
    }

    /// How many sockets have been closed so far.
    pub(crate) fn closes(&self) -> u64 {
        self.accepts.closes.get()
    }

    /// Wakes `waker` when the next socket has been closed.
    pub(crate) fn wake_at_close(&self, waker: &Waker) {
        let is_there = |waiting: &Vec<Waker>| waiting.iter().any(|other| other.will_wake(waker));
        if !is_there(&self.accepts.waiting.borrow()) {
            // Cloning a waker is foreign code: nothing is borrowed meanwhile.
            let waker = waker.clone();
            self.accepts.waiting.borrow_mut().push(waker);
        }
    }

    /// A socket has been closed: wakes those who wait for its descriptor. Runs foreign code then.
    pub(crate) fn note_close(&self) {
        increment(&self.accepts.closes);
        // Mostly nobody waits, and nothing is allocated or written.
        if self.accepts.waiting.borrow().is_empty() {
            return;
        }
        for waker in self.accepts.waiting.take() {
            self.report_panic(catch_panic(|| waker.wake()));
        }
    }
}
