//! Small buffers, provided to the kernel, which selects one for each message.
//!
//! A buffer is with the kernel (in the [`BufferRing`]), lent out, or not in use. The kernel selects
//! the one that has been in the ring for longest, so every buffer in use passes through the cache.
//! Therefore only as many are in use as were needed at the same time lately: a receive that finds
//! none adds one, and when far fewer are needed for a while, the others are taken out of use as
//! they are returned.

use std::io;
use std::mem::ManuallyDrop;

use super::buffer::{BufferSize, OwnedBuffer};
use super::region::Region;
use super::selected::FIRST_DATAGRAM;
use crate::sys::errno::ENOMEM;
use crate::sys::{BUFFER_GROUP, BufferRing, DATAGRAM_GROUP, Ring};

/// How many are in use from the beginning, and at least.
const FIRST: u16 = 64;

/// What the kernel knows the buffers of a pool by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    id: u16,
    /// The kernel's number of the first of them.
    first: u16,
}

impl Group {
    pub(super) const SMALL: Self = Self { id: BUFFER_GROUP, first: 0 };
    pub(super) const DATAGRAMS: Self = Self { id: DATAGRAM_GROUP, first: FIRST_DATAGRAM };
}

pub(super) struct ProvidedPool {
    group: Group,
    shared: ManuallyDrop<Shared>,
    in_use: u16,
    /// How many may be in use: what is returned beyond that is not provided again.
    enough: u16,
    /// The numbers of those that are not in use; the last is the next to be used.
    spare: Vec<u16>,
    /// How many of those in use are lent out, or selected and about to be.
    selected: u16,
    /// The most there were since the last [`trim`](Self::trim).
    peak: u16,
    /// Whether the kernel has given everything back.
    released: bool,
}

/// What the kernel reads and writes while the ring is registered.
struct Shared {
    region: Region,
    ring: BufferRing,
}

impl ProvidedPool {
    /// Makes a buffer ring and provides the first buffers. Where memory is short the ring is
    /// smaller.
    ///
    /// # Errors
    ///
    /// If the kernel has no buffer rings (5.19), or there is no memory for one.
    pub(super) fn register(size: BufferSize, group: Group, ring: &mut Ring) -> io::Result<Self> {
        let no_memory = || io::Error::from_raw_os_error(ENOMEM);
        let region = Region::reserve(size).ok_or_else(no_memory)?;
        let (ring, count) = registered(region.count(), group, ring)?;
        let mut this = Self {
            group,
            shared: ManuallyDrop::new(Shared { region, ring }),
            in_use: 0,
            enough: FIRST,
            spare: (0..count).rev().collect(),
            selected: 0,
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

    /// The kernel has selected this many more since the last call. Provides again what was
    /// returned, which the kernel sees at once.
    #[inline]
    pub(super) fn collect(&mut self, selected: u16) {
        self.selected += selected;
        self.peak = self.peak.max(self.selected);
        if self.shared.region.memory().has_returned() {
            self.put_back();
        }
    }

    fn put_back(&mut self) {
        let Self { shared, group, in_use, enough, spare, selected, .. } = self;
        let Shared { region, ring } = &mut **shared;
        let before = spare.len();
        region.memory().take_returned(|buffer| {
            *selected -= 1;
            if *in_use > *enough {
                *in_use -= 1;
                spare.push(buffer);
            } else {
                put(ring, region, *group, buffer);
            }
        });
        ring.publish();
        if spare.len() > before {
            // SAFETY: they have no lease, and are not in the ring.
            unsafe { region.discard(&mut spare[before..]) };
        }
    }

    /// Takes one more into use, unless all are. Returns whether it has.
    pub(super) fn grow(&mut self) -> bool {
        let before = self.in_use;
        self.add_one();
        self.enough = self.enough.max(self.in_use);
        self.shared.ring.publish();
        self.in_use > before
    }

    fn add_one(&mut self) {
        if let Some(buffer) = self.spare.pop() {
            let Shared { region, ring } = &mut *self.shared;
            put(ring, region, self.group, buffer);
            self.in_use += 1;
        }
    }

    /// From here on, twice as many are enough as were selected at the same time since the last
    /// call.
    pub(super) fn trim(&mut self) {
        self.enough = self.peak.saturating_mul(2).max(FIRST);
        self.peak = self.selected;
    }

    /// A buffer that the kernel has selected.
    #[inline]
    pub(super) fn claim(&self, buffer: u16) -> OwnedBuffer {
        self.shared.region.buffer(buffer - self.group.first)
    }

    /// Takes all back from the kernel. Nothing may be in core.
    pub(super) fn release(&mut self, ring: &mut Ring) {
        ring.release_buffers(self.group.id);
        self.released = true;
    }
}

/// Puts a buffer into the ring that has no lease.
fn put(ring: &mut BufferRing, region: &Region, group: Group, buffer: u16) {
    let (start, size) = (region.memory().address(buffer), region.memory().size());
    // SAFETY: the buffer has no lease, so nothing accesses it, and the kernel gives it away once
    // until it is returned (`uring-sys-tests`, buffer_id_exclusive_until_returned); the ring has
    // room for all buffers.
    unsafe { ring.put(group.first + buffer, start, size) };
}

/// A buffer ring with room for `count` buffers, or for fewer if memory is short.
fn registered(count: u16, group: Group, ring: &mut Ring) -> io::Result<(BufferRing, u16)> {
    // What there is memory for need not be a power of two.
    let mut count = if count.is_power_of_two() { count } else { count.next_power_of_two() / 2 };
    loop {
        let outcome = BufferRing::new(count).and_then(|buffers| {
            // SAFETY: the pool keeps the buffer ring until it is released, or for ever (`Drop`).
            unsafe { ring.register_buffers(&buffers, group.id) }.map(|()| (buffers, count))
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
        // Else the kernel may still write to the buffers, and read the ring, even after the ring is
        // closed (`uring-sys-tests`, worker_writes_after_close): neither is ever freed.
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

    fn pool(ring: &mut Ring) -> ProvidedPool {
        ProvidedPool::register(BufferSize { count: COUNT, bytes: 4096 }, Group::SMALL, ring)
            .unwrap()
    }

    #[test]
    fn buffers_and_their_ring_are_never_freed_while_the_kernel_may_write_to_them() {
        let mut ring = ring();
        for is_released in [false, true] {
            let mut pool = pool(&mut ring);
            let memory = Arc::downgrade(pool.shared.region.memory());
            if is_released {
                pool.release(&mut ring);
            }
            drop(pool);
            assert_eq!(memory.upgrade().is_none(), is_released);
        }
    }

    /// The kernel selects `count`, and all of them are returned.
    fn use_at_once(pool: &mut ProvidedPool, count: u16) {
        while pool.in_use() < count {
            pool.grow();
        }
        pool.collect(count);
        (0..count).for_each(|buffer| drop(pool.claim(buffer)));
        pool.collect(0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there; receives on lease run its unsafe code, too")]
    fn no_more_are_in_use_than_twice_what_was_wanted_lately() {
        let mut ring = ring();
        let mut pool = pool(&mut ring);
        assert_eq!(pool.in_use(), FIRST);
        use_at_once(&mut pool, 400);
        assert_eq!(pool.in_use(), 400);
        pool.trim();
        use_at_once(&mut pool, 100);
        assert_eq!(pool.in_use(), 400, "all were wanted at the same time");
        pool.trim();
        use_at_once(&mut pool, 300);
        assert_eq!(pool.in_use(), 200, "twice a hundred");
        assert_eq!(pool.count(), COUNT);
        // What is out of use comes into use again, each once.
        use_at_once(&mut pool, 300);
        assert_eq!(pool.in_use(), 300);
        let mut spare = pool.spare.clone();
        spare.sort_unstable();
        spare.dedup();
        assert_eq!(spare.len(), usize::from(COUNT - 300));
        pool.release(&mut ring);
    }
}
