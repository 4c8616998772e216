//! The ring of provided buffers, of which the kernel selects one for received bytes.
//!
//! Both sides share its memory: this one writes entries and then the tail, which says how many
//! there have been; the kernel reads them, takes buffers from the front, and keeps to itself how
//! far it has got. A buffer that is in the ring, or was taken and not yet reported, belongs to the
//! kernel.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::Pages;

pub(crate) struct BufferRing {
    /// Zeroed and aligned to pages, as the kernel asks.
    pages: Pages,
    /// A power of two.
    count: u16,
    /// How many buffers have been put in, modulo 2^16.
    tail: u16,
}

impl BufferRing {
    /// An empty ring with room for `count` buffers, a power of two.
    ///
    /// # Errors
    ///
    /// If there is no memory for it.
    pub(crate) fn new(count: u16) -> io::Result<Self> {
        assert!(count.is_power_of_two(), "the size of a buffer ring is a power of two");
        let pages = Pages::reserve(usize::from(count) * size_of::<BufRingEntry>())?;
        Ok(Self { pages, count, tail: 0 })
    }

    fn entries(&self) -> NonNull<BufRingEntry> {
        self.pages.start().cast()
    }

    /// Its address, for registering it.
    pub(super) fn address(&self) -> u64 {
        self.entries().as_ptr() as u64
    }

    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// Puts a buffer at the end. The kernel sees it after [`publish`](Self::publish).
    ///
    /// # Safety
    ///
    /// `start` is valid for writes of `size` bytes, and nothing else accesses them, until the
    /// kernel has reported the buffer; the ring holds no more buffers than it has room for.
    pub(crate) unsafe fn put(&mut self, number: u16, start: NonNull<u8>, size: usize) {
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: the index is within the ring, and the kernel reads the entry there only when the
        // tail has passed it: it has taken the buffer that was there before
        // (`uring-sys-tests`, buffer_id_exclusive_until_returned).
        let entry = unsafe { self.entries().add(index).as_mut() };
        entry.set_addr(start.as_ptr() as u64);
        entry.set_len(u32::try_from(size).expect("a buffer is smaller than 4 GiB"));
        entry.set_bid(number);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was put.
    pub(crate) fn publish(&mut self) {
        // SAFETY: the tail is in the ring's first entry. This side alone writes it.
        let tail = unsafe { &*BufRingEntry::tail(self.entries().as_ptr()).cast::<AtomicU16>() };
        // Release: the kernel sees the entries before the tail that has passed them.
        tail.store(self.tail, Ordering::Release);
    }
}

/// The consumer's side of a buffer ring, which the kernel has: for other rings.
pub(crate) struct Provided {
    entries: NonNull<BufRingEntry>,
    count: u16,
    /// How many buffers have been taken, modulo 2^16.
    head: u16,
}

impl BufferRing {
    /// The consumer's side. There is one.
    ///
    /// # Safety
    ///
    /// The ring outlives it.
    pub(super) unsafe fn provided(&self) -> Provided {
        Provided { entries: self.entries(), count: self.count, head: 0 }
    }
}

impl Provided {
    /// Takes the first buffer, if there is one: its number, where it begins, and its size.
    pub(super) fn next(&mut self) -> Option<(u16, *mut u8, usize)> {
        let first = self.peek()?;
        self.head = self.head.wrapping_add(1);
        Some(first)
    }

    /// The first buffer, which [`next`](Self::next) would take.
    pub(super) fn peek(&self) -> Option<(u16, *mut u8, usize)> {
        // SAFETY: the tail is in the ring's first entry, and the ring is alive.
        let tail = unsafe { &*BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>() };
        if self.head == tail.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the index is within the ring, and the tail has passed the entry.
        let entry = unsafe { self.entries.add(usize::from(self.head & (self.count - 1))).as_ref() };
        Some((entry.bid(), entry.addr() as *mut u8, entry.len() as usize))
    }
}
