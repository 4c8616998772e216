//! How many system calls a server has made, told by those that can.
//!
//! Counting from outside needs tracing rights that few machines give. A hand-written server counts
//! its own; a runtime that counts how often it entered its ring publishes that. The others have no
//! such column.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::os::shared_page::SharedPage;

/// How many threads of a server can count.
pub(crate) const SHARDS: usize = 64;

/// Counters are so far apart that no two share a line of the cache.
const STRIDE: usize = 8;

/// A count that the server writes and the harness reads, at no cost that shows.
pub(crate) struct Calls {
    page: Arc<SharedPage>,
    shard: usize,
}

impl Calls {
    /// A count at zero, which a child can be given by its [`raw_fd`](Self::raw_fd).
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { page: Arc::new(SharedPage::new()?), shard: 0 })
    }

    /// The count of the parent, in its child.
    ///
    /// # Safety
    ///
    /// As for [`SharedPage::inherited`].
    pub(crate) unsafe fn inherited(fd: RawFd) -> io::Result<Self> {
        // SAFETY: by contract.
        let page = unsafe { SharedPage::inherited(fd)? };
        Ok(Self { page: Arc::new(page), shard: 0 })
    }

    /// The count of another thread of the same server.
    pub(crate) fn of_shard(&self, shard: usize) -> Self {
        assert!(shard < SHARDS);
        Self { page: Arc::clone(&self.page), shard }
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.page.raw_fd()
    }

    /// Counts calls. Only one thread may do so: this is not an atomic addition, which would cost.
    pub(crate) fn add(&self, calls: u64) {
        self.publish(self.page.counter(self.shard * STRIDE).load(Ordering::Relaxed) + calls);
    }

    /// Sets the count, for a server that keeps it itself.
    pub(crate) fn publish(&self, total: u64) {
        self.page.counter(self.shard * STRIDE).store(total, Ordering::Relaxed);
    }

    /// How many calls have been made by all threads; zero if the server does not tell.
    pub(crate) fn total(&self) -> u64 {
        (0..SHARDS).map(|shard| self.page.counter(shard * STRIDE).load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_threads_add_up() {
        let calls = Calls::new().unwrap();
        let (first, last) = (calls.of_shard(0), calls.of_shard(SHARDS - 1));
        first.add(2);
        last.add(3);
        last.publish(40);
        assert_eq!(calls.total(), 42);
    }
}
