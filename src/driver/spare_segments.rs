//! Segment lists that vectored reads and writes of files use again, so that none allocates once as
//! many have been in flight at the same time.

use std::cell::RefCell;

use crate::sys::segments::Segments;

/// How many lists are kept at most. Each is a kilobyte at most.
const MAX_KEPT: usize = 256;

#[derive(Default)]
pub(crate) struct SpareSegments(RefCell<Vec<Segments>>);

impl SpareSegments {
    /// A list to be filled.
    pub(crate) fn take(&self) -> Segments {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a list to be used again, unless there are many.
    pub(crate) fn give_back(&self, mut list: Segments) {
        let mut lists = self.0.borrow_mut();
        if lists.len() < MAX_KEPT {
            list.shrink();
            lists.push(list);
        }
    }
}
