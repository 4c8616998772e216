//! Memory for received bytes that is in no pool, and how much of it a runtime has.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::lease::{Lease, Memory};

/// Memory that no runtime has in its pools.
pub(crate) struct OwnMemory {
    bytes: Vec<u8>,
    /// What has been counted for it.
    _held: Option<Held>,
}

/// How many bytes of such memory there are for a runtime.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<AtomicUsize>);

impl Tally {
    /// How many there are.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A part of a tally.
struct Held {
    tally: Tally,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Relaxed: nothing is ordered by a count.
        self.tally.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl OwnMemory {
    /// Memory for `capacity` bytes, which counts until it is freed.
    pub(crate) fn counted(capacity: usize, tally: &Tally) -> Self {
        let bytes = Vec::with_capacity(capacity);
        let held = Held { tally: tally.clone(), bytes: bytes.capacity() };
        held.tally.0.fetch_add(held.bytes, Ordering::Relaxed);
        Self { bytes, _held: Some(held) }
    }

    /// Where it begins, and for how many bytes it has room.
    pub(crate) fn room(&mut self) -> (*mut u8, usize) {
        (self.bytes.as_mut_ptr(), self.bytes.capacity())
    }

    /// Lends out its first bytes.
    ///
    /// # Safety
    ///
    /// So many bytes have been written, of no more than there is room for.
    pub(crate) unsafe fn lend(mut self, length: usize) -> Lease {
        // SAFETY: the caller says so.
        unsafe { self.bytes.set_len(length) };
        Lease::from(self)
    }
}

impl From<Vec<u8>> for OwnMemory {
    /// Not counted.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, _held: None }
    }
}

impl From<OwnMemory> for Lease {
    fn from(mut memory: OwnMemory) -> Self {
        // From here on the bytes are used through this pointer only.
        let start =
            NonNull::new(memory.bytes.as_mut_ptr()).expect("a vector's pointer is not null");
        Self { start, length: memory.bytes.len(), memory: Memory::Own(Arc::new(memory)) }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn memory_of_its_own_counts_until_the_last_lease_of_it_is_gone() {
        let tally = Tally::default();
        let mut memory = OwnMemory::counted(100, &tally);
        let (start, room) = memory.room();
        assert!(room >= 100);
        assert_eq!(tally.bytes(), room);
        // SAFETY: there is room for these bytes, which are written.
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
        drop(OwnMemory::counted(100, &tally));
        assert_eq!(tally.bytes(), 0);
    }
}
