//! Tasks that wait for a descriptor to be closed.
//!
//! When the process has run out of descriptors, a listener tries again after a pause. When this
//! runtime closes a socket, there is a descriptor again, and the pause is over.

use std::cell::{Cell, RefCell};
use std::task::Waker;

#[derive(Default)]
pub(crate) struct CloseWatch {
    /// How many sockets have been closed.
    closes: Cell<u64>,
    /// Whom to wake at the next close.
    waiting: RefCell<Vec<Waker>>,
}

impl CloseWatch {
    /// How many sockets have been closed so far.
    pub(crate) fn closes(&self) -> u64 {
        self.closes.get()
    }

    /// Wakes `waker` when the next socket has been closed.
    pub(crate) fn wake_at_close(&self, waker: &Waker) {
        let is_there = |waiting: &Vec<Waker>| waiting.iter().any(|other| other.will_wake(waker));
        if !is_there(&self.waiting.borrow()) {
            // Cloning a waker is foreign code: nothing is borrowed meanwhile.
            let waker = waker.clone();
            self.waiting.borrow_mut().push(waker);
        }
    }

    /// A socket has been closed. Returns what to wake: mostly nothing, and then nothing is written.
    pub(super) fn note_close(&self) -> Vec<Waker> {
        self.closes.set(self.closes.get() + 1);
        if self.waiting.borrow().is_empty() { Vec::new() } else { self.waiting.take() }
    }
}
