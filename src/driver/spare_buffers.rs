//! Empty buffers for bytes that are staged to be sent.
//!
//! A connection that has nothing to send holds none. Those of a driver's connections are used again
//! and again, the latest first, as it is in the cache.

use std::cell::{Cell, RefCell};

/// The least capacity of a buffer, in bytes.
const LEAST: usize = 1024;

/// How many bytes the kept buffers have together at most.
const MAX_KEPT: usize = 1024 * 1024;

#[derive(Default)]
pub(crate) struct SpareBuffers {
    buffers: RefCell<Vec<Vec<u8>>>,
    /// The sum of their capacities.
    kept: Cell<usize>,
    /// How few buffers there have been since memory was last given back.
    fewest: Cell<usize>,
}

impl SpareBuffers {
    /// An empty buffer.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut buffers = self.buffers.borrow_mut();
        let Some(buffer) = buffers.pop() else { return Vec::with_capacity(LEAST) };
        self.kept.set(self.kept.get() - buffer.capacity());
        self.fewest.set(self.fewest.get().min(buffers.len()));
        buffer
    }

    /// Keeps a buffer to be used again, unless there are many.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let kept = self.kept.get() + buffer.capacity();
        if buffer.capacity() > 0 && kept <= MAX_KEPT {
            buffer.clear();
            self.kept.set(kept);
            self.buffers.borrow_mut().push(buffer);
        }
    }

    /// Frees those that have not been needed since the last call: they are the first.
    pub(super) fn trim(&self) {
        let mut buffers = self.buffers.borrow_mut();
        let freed: usize = buffers.drain(..self.fewest.get()).map(|buffer| buffer.capacity()).sum();
        self.kept.set(self.kept.get() - freed);
        self.fewest.set(buffers.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_kept_buffers_is_bounded_and_freed_when_not_needed() {
        let spare = SpareBuffers::default();
        (0..8).for_each(|_| spare.give_back(Vec::with_capacity(MAX_KEPT / 4)));
        assert_eq!(spare.kept.get(), MAX_KEPT);
        spare.give_back(Vec::with_capacity(2 * MAX_KEPT));
        assert_eq!(spare.kept.get(), MAX_KEPT);
        spare.trim();
        let two = [spare.take(), spare.take()];
        two.into_iter().for_each(|buffer| spare.give_back(buffer));
        spare.trim();
        assert_eq!(spare.kept.get(), MAX_KEPT / 2, "two were needed");
        spare.trim();
        assert_eq!((spare.kept.get(), spare.buffers.borrow().len()), (0, 0));
    }
}
