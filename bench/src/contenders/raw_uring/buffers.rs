//! A ring of provided buffers.

use std::alloc::{self, Layout};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

const PAGE: usize = 4096;

/// The group that entries name; there is one ring of buffers.
pub(super) const GROUP: u16 = 0;

/// Buffers of one size, in a ring that the kernel takes them from in order. It lives as long as the
/// process, so that the kernel never outlives it.
pub(super) struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    size: usize,
    /// A power of two.
    count: u16,
    tail: u16,
    /// At which place of the ring each buffer was put last.
    place: Vec<u16>,
    /// Which buffer was put last at each place.
    occupant: Vec<u16>,
    /// How many holders must release each buffer before it goes back.
    holders: Vec<u32>,
}

impl Buffers {
    /// Registers `count` buffers, a power of two, with a ring.
    pub(super) fn register(submitter: &Submitter<'_>, size: usize, count: u16) -> io::Result<Self> {
        let entries = usize::from(count);
        let memory = leak(entries * size);
        let entry_ring = leak(entries * size_of::<BufRingEntry>()).cast::<BufRingEntry>();
        // SAFETY: the memory of the ring is page-aligned, large enough, and never freed.
        unsafe {
            let address = entry_ring.as_ptr() as u64;
            submitter.register_buf_ring_with_flags(address, count, GROUP, 0)?;
        }
        let mut buffers = Self {
            ring: entry_ring,
            memory,
            size,
            count,
            tail: 0,
            place: vec![0; entries],
            occupant: vec![0; entries],
            holders: vec![1; entries],
        };
        (0..count).for_each(|buffer| buffers.put(buffer));
        buffers.publish();
        Ok(buffers)
    }

    /// The size of each.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Where a buffer begins.
    pub(super) fn address(&self, buffer: u16) -> *mut u8 {
        assert!(buffer < self.count);
        // SAFETY: the buffer lies within the memory.
        unsafe { self.memory.add(usize::from(buffer) * self.size).as_ptr() }
    }

    /// The buffer that the kernel takes after another.
    pub(super) fn following(&self, buffer: u16) -> u16 {
        let place = (self.place[usize::from(buffer)] + 1) & (self.count - 1);
        self.occupant[usize::from(place)]
    }

    /// Gives a taken buffer `holders` holders instead of one.
    pub(super) fn share(&mut self, buffer: u16, holders: u32) {
        self.holders[usize::from(buffer)] = holders;
    }

    /// Releases one hold on a buffer; the last returns it to the ring.
    pub(super) fn release(&mut self, buffer: u16) {
        let holders = &mut self.holders[usize::from(buffer)];
        *holders -= 1;
        if *holders == 0 {
            *holders = 1;
            self.put(buffer);
        }
    }

    /// Gives a buffer back; the kernel sees it after [`publish`](Self::publish).
    fn put(&mut self, buffer: u16) {
        let place = self.tail & (self.count - 1);
        let address = self.address(buffer) as u64;
        // SAFETY: the place lies within the ring. The kernel reads it only when the tail has passed
        // it, and has read the one that was there before, since that was taken.
        let entry = unsafe { &mut *self.ring.as_ptr().add(usize::from(place)) };
        entry.set_addr(address);
        entry.set_len(self.size as u32);
        entry.set_bid(buffer);
        self.place[usize::from(buffer)] = place;
        self.occupant[usize::from(place)] = buffer;
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was put.
    pub(super) fn publish(&mut self) {
        // SAFETY: the ring is registered and its first entry holds the tail, which the kernel reads
        // and only this side writes.
        let tail = unsafe { &*BufRingEntry::tail(self.ring.as_ptr()).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Zeroed, page-aligned memory that is never freed.
fn leak(bytes: usize) -> NonNull<u8> {
    let layout = Layout::from_size_align(bytes, PAGE).expect("a size that fits");
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc::alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(layout))
}
