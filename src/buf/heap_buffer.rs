//! Received bytes on the heap: the fallback when a runtime has no free receive buffer.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory that was allocated for one receive, or by a user, and is freed with its last lease.
pub(crate) struct HeapBuffer {
    bytes: Vec<u8>,
    /// Its part of the tally; `None` for memory of a user.
    _counted: Option<Counted>,
}

/// How many bytes the heap buffers of a runtime have.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeapTally(Arc<AtomicUsize>);

impl HeapTally {
    /// The number of bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A part of a tally.
struct Counted {
    tally: HeapTally,
    bytes: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Relaxed: the count orders nothing.
        self.tally.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl HeapBuffer {
    /// Memory for `capacity` bytes, counted in `tally` until it is freed.
    pub(crate) fn counted(capacity: usize, tally: &HeapTally) -> Self {
        let bytes = Vec::with_capacity(capacity);
        let counted = Counted { tally: tally.clone(), bytes: bytes.capacity() };
        counted.tally.0.fetch_add(counted.bytes, Ordering::Relaxed);
        Self { bytes, _counted: Some(counted) }
    }

    /// Returns its start, and how many bytes fit there.
    pub(crate) fn room(&mut self) -> (*mut u8, usize) {
        (self.bytes.as_mut_ptr(), self.bytes.capacity())
    }

    /// Returns its start, to read.
    pub(crate) fn address(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    /// How many bytes fit.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Notes that the first `length` bytes have been written.
    ///
    /// # Safety
    ///
    /// They have been, and there is room for as many.
    pub(super) unsafe fn set_length(&mut self, length: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.bytes.set_len(length) };
    }

    /// The start and the number of the bytes that have been written.
    pub(super) fn written(&mut self) -> (NonNull<u8>, usize) {
        let start = self.bytes.as_mut_ptr();
        (NonNull::new(start).expect("a vector's pointer is not null"), self.bytes.len())
    }
}

impl From<Vec<u8>> for HeapBuffer {
    /// Memory of a user, which no tally counts.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, _counted: None }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_heap_buffer_counts_until_its_last_lease_is_dropped() {
        let tally = HeapTally::default();
        let mut memory = HeapBuffer::counted(100, &tally);
        let (start, room) = memory.room();
        assert!(room >= 100);
        assert_eq!(tally.bytes(), room);
        // SAFETY: these three bytes are written, and fit.
        let mut lease = unsafe {
            start.copy_from_nonoverlapping(b"own".as_ptr(), 3);
            memory.lend(3)
        };
        let head = lease.split_to(1);
        drop(lease);
        assert_eq!((&*head, tally.bytes()), (&b"o"[..], room));
        let bytes = Bytes::from(head);
        assert_eq!(tally.bytes(), room);
        drop(bytes);
        assert_eq!(tally.bytes(), 0);
        drop(HeapBuffer::counted(100, &tally));
        assert_eq!(tally.bytes(), 0);
    }
}
