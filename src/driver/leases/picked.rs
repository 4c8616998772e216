//! Small buffers, in a ring that the kernel picks from.
//!
//! A buffer is the kernel's (it stands in the [`BufferRing`]) or lent out. The kernel picks the one that
//! has been in the ring for longest, so every buffer in use passes through the cache. So only as many
//! are in use as were ever wanted at the same time: a receive that finds none adds one.

use std::io;
use std::mem;
use std::sync::Arc;

use super::{LeaseSize, Taken};
use crate::buf::LeaseMemory;
use crate::sys::errno::ENOMEM;
use crate::sys::{BufferRing, Ring};

/// How many are in use from the beginning.
const FIRST: u16 = 64;

pub(super) struct Picked {
    memory: Arc<LeaseMemory>,
    ring: BufferRing,
    /// How many are in use: those of lower numbers.
    in_use: u16,
    count: u16,
    /// Whether the kernel has let go of everything.
    released: bool,
}

impl Picked {
    /// Makes a ring for the buffers and gives the first to the kernel. Where locked memory is short the
    /// ring is smaller.
    ///
    /// # Errors
    ///
    /// If the kernel has no buffer rings (5.19), or no memory for one.
    pub(super) fn register(size: LeaseSize, ring: &mut impl Ring) -> io::Result<Self> {
        let (buffers, count) = registered(size.count, ring)?;
        let memory = Arc::new(LeaseMemory::new(count, size.bytes));
        let mut this = Self { memory, ring: buffers, in_use: 0, count, released: false };
        (0..FIRST.min(count)).for_each(|_| this.put_next());
        this.ring.publish();
        Ok(this)
    }

    /// How many are in use.
    pub(super) fn in_use(&self) -> u16 {
        self.in_use
    }

    /// Gives what has come back to the kernel, which sees it at once.
    pub(super) fn collect(&mut self) {
        if self.memory.has_returned() {
            let memory = Arc::clone(&self.memory);
            memory.take_returned(|buffer| self.put(buffer));
            self.ring.publish();
        }
    }

    /// Takes one more into use, unless all are.
    pub(super) fn add(&mut self) {
        if self.in_use < self.count {
            self.put_next();
            self.ring.publish();
        }
    }

    fn put_next(&mut self) {
        self.put(self.in_use);
        self.in_use += 1;
    }

    fn put(&mut self, buffer: u16) {
        let (start, size) = (self.memory.address(buffer), self.memory.size());
        // SAFETY: the buffer has no lease, so nobody touches it; there are as many places as buffers.
        unsafe { self.ring.put(buffer, start, size) };
    }

    /// A buffer that the kernel has reported.
    pub(super) fn reported(&self, buffer: u16) -> Taken {
        Taken { memory: Arc::clone(&self.memory), buffer }
    }

    /// Takes all back from the kernel. Nothing may be in flight.
    pub(super) fn release(&mut self, ring: &mut impl Ring) {
        ring.release_buffers();
        self.released = true;
    }
}

/// A ring of buffers with so many places, or with fewer if memory is short.
fn registered(mut count: u16, ring: &mut impl Ring) -> io::Result<(BufferRing, u16)> {
    loop {
        let buffers = BufferRing::new(count);
        // SAFETY: whoever gets the ring of buffers keeps it until the kernel has let go of it, or for
        // ever.
        match unsafe { ring.register_buffers(&buffers) } {
            Err(error) if error.raw_os_error() == Some(ENOMEM) && count > FIRST => count /= 2,
            outcome => return outcome.map(|()| (buffers, count)),
        }
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        if !self.released {
            // The kernel may still write to the buffers, and read the ring: neither is ever freed.
            mem::forget(Arc::clone(&self.memory));
            mem::forget(mem::replace(&mut self.ring, BufferRing::new(1)));
        }
    }
}
