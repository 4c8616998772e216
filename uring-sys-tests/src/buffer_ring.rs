//! A ring of provided buffers: the memory from which the kernel picks when data is there.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::memory::{Buffer, Pages};
use crate::ring::Ring;

/// A registered buffer ring of equal buffers, whose ids are their places in [`BufferRing::bytes`].
///
/// Its memory is leaked, as all memory that a kernel may touch after a failed test.
pub struct BufferRing {
    entries: ManuallyDrop<Pages>,
    buffers: Vec<Buffer>,
    capacity: u16,
    tail: u16,
}

impl BufferRing {
    /// Registers an empty ring for `capacity` buffers of `size` bytes as `group`.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn empty(ring: &Ring, group: u16, capacity: u16, size: usize) -> BufferRing {
        let entries = Pages::new(usize::from(capacity) * size_of::<BufRingEntry>());
        let entries = ManuallyDrop::new(entries);
        let start = entries.as_ptr() as u64;
        // SAFETY: the pages hold `capacity` entries and are never unmapped.
        unsafe { ring.register().register_buf_ring_with_flags(start, capacity, group, 0) }
            .expect("register a buffer ring");
        let buffers = (0..capacity).map(|_| Buffer::zeroed(size)).collect();
        BufferRing { entries, buffers, capacity, tail: 0 }
    }

    /// As [`BufferRing::empty`], then provides every buffer.
    pub fn full(ring: &Ring, group: u16, capacity: u16, size: usize) -> BufferRing {
        let mut made = BufferRing::empty(ring, group, capacity, size);
        for id in 0..capacity {
            made.provide(id);
        }
        made
    }

    /// Gives one buffer to the kernel, without a system call.
    pub fn provide(&mut self, id: u16) {
        let buffer = self.buffers[usize::from(id)];
        let at = usize::from(self.tail & (self.capacity - 1));
        let base = self.entries.as_ptr().cast::<BufRingEntry>();
        // SAFETY: `at` is within the ring, and the kernel reads an entry only once the tail has
        // passed it. The tail shares memory with the first entry, in a field not written here.
        let entry = unsafe { &mut *base.add(at) };
        entry.set_addr(buffer.as_ptr() as u64);
        entry.set_len(u32::try_from(buffer.size()).expect("a length fits the entry"));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lives in the pages, is aligned, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(base).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// The first `len` bytes of a buffer.
    pub fn bytes(&self, id: u16, len: u32) -> Vec<u8> {
        let len = usize::try_from(len).expect("a length fits memory");
        self.buffers[usize::from(id)].prefix(len).bytes()
    }
}
