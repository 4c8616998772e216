//! Small buffers, in a ring that the kernel picks from.
//!
//! A buffer is the kernel's (it is in the [`BufferRing`]), lent out, or not in use. The kernel picks the
//! one that has been in the ring for longest, so every buffer in use passes through the cache. So only as
//! many are in use as were wanted at the same time lately: a receive that finds none adds one, and when
//! far fewer are wanted for a while, the others are taken out of use as they come back.

use std::io;
use std::mem::ManuallyDrop;

use super::region::Region;
use super::{BufferSize, OwnedBuffer};
use crate::sys::errno::ENOMEM;
use crate::sys::{BufferRing, Ring};

/// How many are in use from the beginning, and at least.
const FIRST: u16 = 64;

pub(super) struct ProvidedPool {
    shared: ManuallyDrop<Shared>,
    in_use: u16,
    /// How many may be in use: those beyond are not put back into the ring.
    enough: u16,
    /// The numbers of those that are not in use; the last is the next to be used.
    spare: Vec<u16>,
    /// How many the kernel has picked of those in use, lent out or yet to be.
    picked: u16,
    /// How many it had at most since the last [`trim`](Self::trim).
    peak: u16,
    /// Whether the kernel has let go of everything.
    released: bool,
}

/// What the kernel reads and writes while the ring is registered.
struct Shared {
    region: Region,
    ring: BufferRing,
}

impl ProvidedPool {
    /// Makes a ring for the buffers and gives the first to the kernel. Where memory is short the ring is
    /// smaller.
    ///
    /// # Errors
    ///
    /// If the kernel has no buffer rings (5.19), or there is no memory for one.
    pub(super) fn register(size: BufferSize, ring: &mut Ring) -> io::Result<Self> {
        let no_memory = || io::Error::from_raw_os_error(ENOMEM);
        let region = Region::reserve(size).ok_or_else(no_memory)?;
        let (ring, count) = registered(region.count(), ring)?;
        let mut this = Self {
            shared: ManuallyDrop::new(Shared { region, ring }),
            in_use: 0,
            enough: FIRST,
            spare: (0..count).rev().collect(),
            picked: 0,
            peak: 0,
            released: false,
        };
        (0..FIRST).for_each(|_| this.add_one());
        this.shared.ring.publish();
        Ok(this)
    }

    /// How many there are at most.
    pub(super) fn count(&self) -> u16 {
        // Those in use and the others.
        self.in_use + self.spare.len() as u16
    }

    /// How many are in use.
    pub(super) fn in_use(&self) -> u16 {
        self.in_use
    }

    /// The kernel has picked so many more since the last call. Gives what has come back to the kernel,
    /// which sees it at once.
    pub(super) fn collect(&mut self, picked: u16) {
        self.picked += picked;
        self.peak = self.peak.max(self.picked);
        if self.shared.region.memory().has_returned() {
            self.put_back();
        }
    }

    fn put_back(&mut self) {
        let Self { shared, in_use, enough, spare, picked, .. } = self;
        let Shared { region, ring } = &mut **shared;
        let before = spare.len();
        region.memory().take_returned(|buffer| {
            *picked -= 1;
            if *in_use > *enough {
                *in_use -= 1;
                spare.push(buffer);
            } else {
                put(ring, region, buffer);
            }
        });
        ring.publish();
        if spare.len() > before {
            // SAFETY: they have no lease, and are not in the ring.
            unsafe { region.discard(&mut spare[before..]) };
        }
    }

    /// Takes one more into use, unless all are.
    pub(super) fn add(&mut self) {
        self.add_one();
        self.enough = self.enough.max(self.in_use);
        self.shared.ring.publish();
    }

    fn add_one(&mut self) {
        if let Some(buffer) = self.spare.pop() {
            let Shared { region, ring } = &mut *self.shared;
            put(ring, region, buffer);
            self.in_use += 1;
        }
    }

    /// From here on, twice as many are enough as the kernel had at most since the last call.
    pub(super) fn trim(&mut self) {
        self.enough = self.peak.saturating_mul(2).max(FIRST);
        self.peak = self.picked;
    }

    /// A buffer that the kernel has reported.
    pub(super) fn reported(&self, buffer: u16) -> OwnedBuffer {
        self.shared.region.taken(buffer)
    }

    /// Takes all back from the kernel. Nothing may be in core.
    pub(super) fn release(&mut self, ring: &mut Ring) {
        ring.release_buffers();
        self.released = true;
    }
}

/// Puts a buffer into the ring that has no lease.
fn put(ring: &mut BufferRing, region: &Region, buffer: u16) {
    let (start, size) = (region.memory().address(buffer), region.memory().size());
    // SAFETY: the buffer has no lease, so nobody touches it; there are as many places as buffers.
    unsafe { ring.put(buffer, start, size) };
}

/// A ring of buffers with so many places, or with fewer if memory is short.
fn registered(count: u16, ring: &mut Ring) -> io::Result<(BufferRing, u16)> {
    // What there is memory for need not be a power of two.
    let mut count = if count.is_power_of_two() { count } else { count.next_power_of_two() / 2 };
    loop {
        let outcome = BufferRing::new(count).and_then(|buffers| {
            // SAFETY: whoever gets the ring of buffers keeps it until the kernel has let go of it, or
            // for ever.
            unsafe { ring.register_buffers(&buffers) }.map(|()| (buffers, count))
        });
        match outcome {
            Err(error) if error.raw_os_error() == Some(ENOMEM) && count > FIRST => count /= 2,
            outcome => return outcome,
        }
    }
}

impl Drop for ProvidedPool {
    fn drop(&mut self) {
        if self.released {
            // SAFETY: it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.shared) };
        }
        // Else the kernel may still write to the buffers, and read the ring: neither is ever freed.
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sys::ScriptedRing;

    const COUNT: u16 = 512;

    fn ring() -> Ring {
        let ring = ScriptedRing::with_capacity(8);
        ring.script().has_buffers = true;
        ring.into()
    }

    fn picked(ring: &mut Ring) -> ProvidedPool {
        ProvidedPool::register(BufferSize { count: COUNT, bytes: 4096 }, ring).unwrap()
    }

    #[test]
    fn buffers_and_their_ring_are_never_freed_while_the_kernel_may_write_to_them() {
        let mut ring = ring();
        for is_released in [false, true] {
            let mut picked = picked(&mut ring);
            let memory = Arc::downgrade(picked.shared.region.memory());
            if is_released {
                picked.release(&mut ring);
            }
            drop(picked);
            assert_eq!(memory.upgrade().is_none(), is_released);
        }
    }

    /// The kernel picks `count`, and all of them come back.
    fn use_at_once(picked: &mut ProvidedPool, count: u16) {
        while picked.in_use() < count {
            picked.add();
        }
        picked.collect(count);
        (0..count).for_each(|buffer| drop(picked.reported(buffer)));
        picked.collect(0);
    }

    #[test]
    fn no_more_are_in_use_than_twice_what_was_wanted_lately() {
        let mut ring = ring();
        let mut picked = picked(&mut ring);
        assert_eq!(picked.in_use(), FIRST);
        use_at_once(&mut picked, 400);
        assert_eq!(picked.in_use(), 400);
        picked.trim();
        use_at_once(&mut picked, 100);
        assert_eq!(picked.in_use(), 400, "all were wanted at the same time");
        picked.trim();
        use_at_once(&mut picked, 300);
        assert_eq!(picked.in_use(), 200, "twice a hundred");
        assert_eq!(picked.count(), COUNT);
        // What is out of use comes into use again, each once.
        use_at_once(&mut picked, 300);
        assert_eq!(picked.in_use(), 300);
        let mut spare = picked.spare.clone();
        spare.sort_unstable();
        spare.dedup();
        assert_eq!(spare.len(), usize::from(COUNT - 300));
        picked.release(&mut ring);
    }
}
