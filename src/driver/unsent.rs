//! Counts the writes that no future waits for, and the end of a runtime does, within
//! [`Builder::flush_timeout`].
//!
//! [`Builder::flush_timeout`]: crate::Builder::flush_timeout

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

/// How many writes are unsent. When the end of the runtime begins to wait, it takes the count;
/// later writes go to a new one. So a writer that never stops does not delay the end.
#[derive(Default)]
pub(crate) struct UnsentWrites {
    count: RefCell<Rc<Cell<usize>>>,
}

/// Until it is dropped, a write is unsent.
pub(crate) struct UnsentGuard(Rc<Cell<usize>>);

impl UnsentWrites {
    pub(crate) fn add(&self) -> UnsentGuard {
        let count = Rc::clone(&self.count.borrow());
        count.set(count.get() + 1);
        UnsentGuard(count)
    }

    /// The count of the writes so far, which later ones do not change.
    pub(crate) fn take_count(&self) -> Rc<Cell<usize>> {
        mem::take(&mut *self.count.borrow_mut())
    }
}

impl Drop for UnsentGuard {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
