//! Counts the work that the end of a runtime waits for, within [`Builder::shield_timeout`].
//!
//! [`Builder::shield_timeout`]: crate::Builder::shield_timeout

use std::cell::Cell;
use std::rc::Rc;

/// How much work is shielded.
#[derive(Clone, Default)]
pub(crate) struct ShieldedWork(Rc<Cell<usize>>);

/// Until it is dropped, there is shielded work.
pub(crate) struct ShieldGuard(ShieldedWork);

impl ShieldedWork {
    pub(super) fn count(&self) -> usize {
        self.0.get()
    }

    pub(crate) fn add(&self) -> ShieldGuard {
        self.0.set(self.0.get() + 1);
        ShieldGuard(self.clone())
    }
}

impl Drop for ShieldGuard {
    fn drop(&mut self) {
        let ShieldGuard(ShieldedWork(count)) = self;
        count.set(count.get() - 1);
    }
}
