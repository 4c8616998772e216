//! The stream of completions of an operation that completes many times.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::check_loop;
use crate::driver::{Driver, Key, Orphan};
use crate::sys::{Completion, Submission};

/// A multishot operation in flight. Dropped, it is cancelled, and what it brings nevertheless, or
/// has brought and nobody took, is settled by the orphan it was started with.
pub(super) struct Multishot {
    driver: Rc<Driver>,
    /// `None` once it has ended.
    key: Option<Key>,
    orphan: Option<Box<dyn Orphan>>,
}

impl Multishot {
    /// Starts an operation. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// What the entry points to is kept by `orphan`.
    pub(super) unsafe fn start(
        driver: &Rc<Driver>,
        entry: Submission,
        bound: u32,
        orphan: Box<dyn Orphan>,
    ) -> Option<Self> {
        // SAFETY: the orphan is kept here, or given to the driver, until the last completion.
        let key = unsafe { driver.submit_multishot(entry, bound) }?;
        Some(Self { driver: Rc::clone(driver), key: Some(key), orphan: Some(orphan) })
    }

    /// Asks the kernel to end the operation. What it has brought and still brings comes here.
    pub(super) fn cancel(&self) {
        if let Some(key) = self.key {
            self.driver.cancel(key);
        }
    }

    /// The next completion, or `None` after the last.
    pub(super) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Completion>> {
        let Some(key) = self.key else { return Poll::Ready(None) };
        check_loop(&self.driver);
        let next = self.driver.poll_next(key, context.waker());
        if let Poll::Ready(None) = next {
            self.key = None;
        }
        next
    }
}

impl Drop for Multishot {
    fn drop(&mut self) {
        if let (Some(key), Some(orphan)) = (self.key, self.orphan.take()) {
            self.driver.abandon(key, orphan);
        }
    }
}
