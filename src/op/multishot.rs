//! The second kind of operation: one SQE with a stream of completions.
//!
//! Its owner (a listener, a stream socket) starts it, takes completions as they are wanted, and
//! hands it to an orphan at its own end. It may be started again when it has ended.

use std::cell::Cell;
use std::task::{Context, Poll, ready};

use crate::driver::{Driver, Key, Orphan};
use crate::sys::{Completion, Submission};

/// A multishot operation, or the place for one. All methods take the driver that it was started on.
///
/// Shared references suffice, as several futures of one object may take its completions.
#[derive(Default)]
pub(super) struct Multishot {
    /// `None` while it is not in flight and all completions have been taken.
    key: Cell<Option<Key>>,
    is_cancelled: Cell<bool>,
}

impl Multishot {
    /// Submits the operation, which is not in flight. Once `bound` completions wait to be taken,
    /// the driver cancels it. Returns false if the driver is closed.
    ///
    /// # Safety
    ///
    /// What the SQE points to stays valid and untouched until the last completion has been taken,
    /// or is kept by the orphan that [`orphan`](Self::orphan) is given.
    pub(super) unsafe fn start(&self, driver: &Driver, submission: Submission, bound: u32) -> bool {
        debug_assert!(self.key.get().is_none(), "a multishot operation was started twice");
        // SAFETY: passed on by the caller.
        let key = unsafe { driver.submit_multishot(submission, bound) };
        self.key.set(key);
        self.is_cancelled.set(false);
        key.is_some()
    }

    /// Whether it has been started, and its end has not been taken.
    pub(super) fn is_started(&self) -> bool {
        self.key.get().is_some()
    }

    /// The next completion; `None` after the last, and if it has not been started. The caller has
    /// checked the loop (`check_loop`).
    pub(super) fn poll_next(
        &self,
        driver: &Driver,
        context: &Context<'_>,
    ) -> Poll<Option<Completion>> {
        let Some(key) = self.key.get() else { return Poll::Ready(None) };
        Poll::Ready(self.noted(ready!(driver.poll_next(key, context.waker()))))
    }

    /// [`poll_next`](Self::poll_next) at the cost of the task's budget.
    // Several sockets receive so, and each message of a stream would pay for the call.
    #[inline(always)]
    pub(super) fn poll_next_within_budget(
        &self,
        driver: &Driver,
        context: &Context<'_>,
    ) -> Poll<Option<Completion>> {
        let Some(key) = self.key.get() else { return Poll::Ready(None) };
        Poll::Ready(self.noted(ready!(driver.poll_next_within_budget(key, context))))
    }

    /// Forgets the slot after the last completion.
    fn noted(&self, next: Option<Completion>) -> Option<Completion> {
        if next.is_none() {
            self.key.set(None);
        }
        next
    }

    /// Cancels the operation, once. What it has produced and still produces is taken as before.
    pub(super) fn cancel(&self, driver: &Driver) {
        if let Some(key) = self.key.get().filter(|_| !self.is_cancelled.replace(true)) {
            driver.cancel(key);
        }
    }

    /// Cancels the operation, which points to no memory and whose completions mean nothing any
    /// more.
    pub(super) fn release(&self, driver: &Driver) {
        if let Some(key) = self.key.take() {
            driver.release_multishot(key);
        }
    }

    /// Cancels the operation, whose owner is gone: the orphan disposes of the completions that have
    /// not been taken.
    pub(super) fn orphan(&self, driver: &Driver, orphan: impl FnOnce() -> Box<dyn Orphan>) {
        if let Some(key) = self.key.take() {
            driver.orphan(key, orphan());
        }
    }
}
