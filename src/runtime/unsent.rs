//! What background writers have been given and not sent, which the end of a runtime waits for.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

use super::context::{self, Shared};
use crate::error::Incident;

/// Counts what is unsent. A count is closed when the runtime's end begins to wait: what is written
/// from then on goes to the next one, so that a writer that never stops does not hold up the end.
#[derive(Default)]
pub(crate) struct UnsentWrites {
    count: RefCell<Rc<Cell<usize>>>,
}

/// Until it is dropped, something is unsent.
pub(crate) struct UnsentGuard(Rc<Cell<usize>>);

impl UnsentWrites {
    /// That of this thread's runtime.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub(crate) fn current() -> Rc<Self> {
        Rc::clone(&context::current().unsent_writes)
    }

    pub(crate) fn add(&self) -> UnsentGuard {
        let count = Rc::clone(&self.count.borrow());
        count.set(count.get() + 1);
        UnsentGuard(count)
    }
}

impl Drop for UnsentGuard {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Shared {
    /// Lets the loop go on until all that was written before is sent, or for the bound. What is not
    /// sent then is reported, and is lost.
    pub(super) fn finish_unsent(&self, can_run: bool) {
        let count = mem::take(&mut *self.unsent_writes.count.borrow_mut());
        if can_run && !self.flush_timeout.is_zero() {
            self.run_within(self.flush_timeout, || count.get() == 0);
        }
        match count.get() {
            0 => {}
            count => (self.driver.incidents())(&Incident::UnsentDataLost { count }),
        }
    }
}
