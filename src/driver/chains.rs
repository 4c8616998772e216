//! Linked SQEs, which the kernel carries out one after the other.
//!
//! Each has a slot and a completion of its own. They complete in order, so only the slot of the
//! last has a waker.

use std::task::Waker;

use super::Driver;
use super::core::Core;
use super::key::Key;
use super::slot::{Orphan, State};
use crate::sys::Submission;
use crate::task::LocalWaker;

impl Core {
    /// Queues linked SQEs, and writes their slots to `keys`. Returns whether it has: the driver may
    /// be closing.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`](crate::sys::Ring::push), for each SQE.
    unsafe fn submit_chain(
        &mut self,
        sqes: &mut [Submission],
        keys: &mut [Key],
        mut state: impl FnMut(usize) -> State,
    ) -> bool {
        if self.is_closing() {
            return false;
        }
        for (at, (sqe, key)) in sqes.iter_mut().zip(keys).enumerate() {
            *key = self.slots.open(state(at));
            sqe.set_user_data(key.user_data());
        }
        self.slots.pushed += sqes.len() as u64;
        // SAFETY: the caller keeps the SQEs' memory.
        unsafe { self.push_chain(sqes) };
        true
    }
}

impl Driver {
    /// How many SQEs may be linked.
    pub(crate) fn longest_chain(&self) -> usize {
        self.core.borrow_mut().ring().map_or(usize::MAX, |ring| ring.capacity())
    }

    /// Queues operations that the kernel carries out one after the other, as the flags of their
    /// SQEs say, and writes their slots to `keys`. The last completion wakes. Returns whether they
    /// are queued: the driver may be closed.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), for each SQE until its own completion.
    pub(crate) unsafe fn submit_chain(
        &self,
        sqes: &mut [Submission],
        keys: &mut [Key],
        waker: &Waker,
    ) -> bool {
        // A closed driver keeps no waker: dropping one is foreign code.
        if self.is_closing() {
            return false;
        }
        // Cloning a waker is foreign code, too: nothing is borrowed meanwhile.
        let mut waker = Some(LocalWaker::new(waker));
        let last = sqes.len() - 1;
        let state = |at| {
            let waker = if at == last { waker.take() } else { None };
            State::waiting(waker.unwrap_or_else(|| LocalWaker::new(Waker::noop())))
        };
        // SAFETY: passed on by the caller.
        unsafe { self.core.borrow_mut().submit_chain(sqes, keys, state) }
    }

    /// The future of a chain is gone. Keeps `orphan` until the kernel has completed this link, and
    /// has `orphan` settle that. Nothing is cancelled: the kernel would not find a link that it
    /// has not begun. If `may_be_on_device`, a later cancel that misses is not repeated.
    pub(crate) fn orphan_link(&self, key: Key, orphan: Box<dyn Orphan>, may_be_on_device: bool) {
        let mut core = self.core.borrow_mut();
        debug_assert!(core.slots.is_in_flight(key), "a link that has completed is settled");
        let waker = core.orphan(key, orphan, None);
        if may_be_on_device && core.slots.is_in_flight(key) {
            core.slots.state(key).ignore_missed_cancels();
        }
        drop(core);
        drop(waker);
    }

    /// How many SQEs of a chain, which began with this one, the kernel has taken at once, if it has
    /// not taken all. Answers once.
    pub(crate) fn take_split(&self, key: Key) -> Option<usize> {
        let mut core = self.core.borrow_mut();
        core.ring()?;
        core.queue_mut().chains().take_split(key)
    }
}
