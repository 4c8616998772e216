//! The buffers that received bytes are put into, and who has which.
//!
//! A buffer is the kernel's (it stands in the [`BufferRing`]), lent out (there is a [`Lease`]), or at
//! hand. The last few that came back stay at hand, to be received into past the ring while they are
//! in the cache; the others go to the kernel again.

use std::io;
use std::mem;
use std::sync::Arc;

use crate::buf::{Lease, LeaseMemory};
use crate::sys::{BufferRing, Ring};

/// How many buffers stay at hand at most. The kernel has at least half of all.
const MOST_AT_HAND: usize = 4;

/// How many buffers a driver has, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseSize {
    /// A power of two.
    pub(crate) count: u16,
    /// In bytes.
    pub(crate) bytes: usize,
}

pub(super) struct Leases {
    memory: Arc<LeaseMemory>,
    ring: BufferRing,
    at_hand: Vec<u16>,
    most_at_hand: usize,
    /// Whether the kernel has let go of everything.
    released: bool,
}

impl Leases {
    /// Makes the buffers and gives them to the kernel.
    ///
    /// # Errors
    ///
    /// If the kernel has no buffer rings (5.19), or no memory for one.
    pub(super) fn new(size: LeaseSize, ring: &mut impl Ring) -> io::Result<Self> {
        let memory = Arc::new(LeaseMemory::new(size.count, size.bytes));
        let most_at_hand = MOST_AT_HAND.min(usize::from(size.count) / 2);
        let mut leases = Self {
            memory,
            ring: BufferRing::new(size.count),
            at_hand: Vec::with_capacity(most_at_hand),
            most_at_hand,
            released: true,
        };
        // SAFETY: the driver keeps the buffers until the ring has let go of them, or for ever.
        unsafe { ring.register_buffers(&leases.ring)? };
        leases.released = false;
        (0..size.count).for_each(|buffer| leases.give_to_kernel(buffer));
        leases.ring.publish();
        Ok(leases)
    }

    /// Takes in what has come back. The kernel sees it at once.
    pub(super) fn collect(&mut self) {
        if self.memory.has_returned() {
            let memory = Arc::clone(&self.memory);
            memory.take_returned(|buffer| self.put_back(buffer));
            self.ring.publish();
        }
    }

    fn put_back(&mut self, buffer: u16) {
        if self.at_hand.len() < self.most_at_hand {
            self.at_hand.push(buffer);
        } else {
            self.give_to_kernel(buffer);
        }
    }

    fn give_to_kernel(&mut self, buffer: u16) {
        let (start, size) = (self.memory.address(buffer), self.memory.size());
        // SAFETY: the buffer has no lease and is not at hand, so nobody touches it; there are as many
        // places as buffers.
        unsafe { self.ring.put(buffer, start, size) };
    }

    /// Takes a buffer that is at hand.
    pub(super) fn take(&mut self) -> Option<Taken> {
        self.collect();
        let buffer = self.at_hand.pop()?;
        Some(Taken { memory: Arc::clone(&self.memory), buffer })
    }

    /// A buffer that the kernel has reported.
    pub(super) fn reported(&self, buffer: u16) -> Taken {
        Taken { memory: Arc::clone(&self.memory), buffer }
    }

    /// The kernel has let go of the buffers.
    pub(super) fn note_released(&mut self) {
        self.released = true;
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        if !self.released {
            // The kernel may still write to the buffers, and read the ring: neither is ever freed.
            mem::forget(Arc::clone(&self.memory));
            mem::forget(mem::replace(&mut self.ring, BufferRing::new(1)));
        }
    }
}

/// A buffer that is neither lent nor at hand nor the kernel's: its holder may write to it. Dropped,
/// it goes back.
pub(crate) struct Taken {
    memory: Arc<LeaseMemory>,
    buffer: u16,
}

impl Taken {
    /// Where it begins.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.memory.address(self.buffer).as_ptr()
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> usize {
        self.memory.size()
    }

    /// Lends out its first bytes.
    ///
    /// # Safety
    ///
    /// So many bytes have been written.
    ///
    /// # Panics
    ///
    /// If it has fewer.
    pub(crate) unsafe fn lend(self, length: usize) -> Lease {
        let this = mem::ManuallyDrop::new(self);
        // SAFETY: each field is moved out once, and the value is not dropped.
        let memory = unsafe { std::ptr::read(&this.memory) };
        // SAFETY: the caller says so. There is no lease of it, and who could write to it is used up.
        unsafe { memory.lend(this.buffer, length) }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // SAFETY: as in `lend`. The lease is dropped at once, and takes it back.
        drop(unsafe { self.memory.lend(self.buffer, 0) });
    }
}
