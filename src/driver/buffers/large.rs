//! Large buffers, which are never provided to the kernel.

use super::buffer::{BufferSize, OwnedBuffer};
use super::region::Region;

pub(super) struct LargePool {
    region: Region,
    /// Those that are not lent out; the last is the next to be taken.
    idle: Vec<u16>,
    /// How many of these, from the front, have no pages.
    untouched: usize,
    /// How few there have been since memory was last given back.
    fewest: usize,
}

impl LargePool {
    /// As many as there is memory for; `None` if there is none.
    pub(super) fn new(size: BufferSize) -> Option<Self> {
        let region = Region::reserve(size)?;
        let idle: Vec<_> = (0..region.count()).rev().collect();
        let count = idle.len();
        Some(Self { region, idle, untouched: count, fewest: count })
    }

    pub(super) fn count(&self) -> u16 {
        self.region.count()
    }

    pub(super) fn take(&mut self) -> Option<OwnedBuffer> {
        self.collect();
        let buffer = self.idle.pop()?;
        self.fewest = self.fewest.min(self.idle.len());
        self.untouched = self.untouched.min(self.idle.len());
        Some(self.region.buffer(buffer))
    }

    fn collect(&mut self) {
        if self.region.memory().has_returned() {
            let before = self.idle.len();
            self.region.memory().take_returned(|buffer| self.idle.push(buffer));
            // The latest comes first.
            self.idle[before..].reverse();
        }
    }

    /// Gives back the memory of those that have not been needed since the last call.
    pub(super) fn trim(&mut self) {
        self.collect();
        if self.untouched < self.fewest {
            let (from, to) = (self.untouched, self.fewest);
            // SAFETY: what is idle has no lease, and the kernel never has it.
            unsafe { self.region.discard(&mut self.idle[from..to]) };
            self.untouched = to;
        }
        self.fewest = self.idle.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool, and how many of its pages are the machine's burden.
    fn pool() -> (LargePool, impl Fn(&LargePool) -> usize) {
        let pool = LargePool::new(BufferSize { count: 8, bytes: 16 * 1024 }).unwrap();
        (pool, |pool: &LargePool| pool.region.resident())
    }

    fn write_to(mut taken: OwnedBuffer) {
        // SAFETY: the holder owns the buffer, and `size` bytes are its length.
        unsafe { taken.start().write_bytes(1, taken.size()) };
    }

    #[test]
    #[cfg_attr(miri, ignore = "it knows of no resident pages")]
    fn after_a_peak_the_memory_of_what_is_not_needed_is_given_back() {
        let (mut pool, resident) = pool();
        let peak: Vec<_> = (0..8).map(|_| pool.take().unwrap()).collect();
        peak.into_iter().for_each(write_to);
        assert_eq!(resident(&pool), 8 * 4);
        pool.trim();
        assert_eq!(resident(&pool), 8 * 4, "all were needed since the last time");
        write_to(pool.take().unwrap());
        pool.trim();
        assert_eq!(resident(&pool), 4, "one was");
        pool.trim();
        assert_eq!(resident(&pool), 0, "none was");
        // They are used as before, the last first.
        let again: Vec<_> = (0..8).map(|_| pool.take().unwrap()).collect();
        assert!(pool.take().is_none());
        again.into_iter().for_each(write_to);
    }
}
