//! How many system calls a server has made, told by those that can.
//!
//! Counting from outside needs tracing rights that few machines give. A hand-written server counts
//! its own; a runtime that counts how often it entered its ring publishes that. The others have no
//! such column.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;

use crate::os::shared_page::SharedPage;

/// A count that the server writes and the harness reads, at no cost that shows.
pub(crate) struct Calls {
    page: SharedPage,
}

impl Calls {
    /// A count at zero, which a child can be given by its [`raw_fd`](Self::raw_fd).
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { page: SharedPage::new()? })
    }

    /// The count of the parent, in its child.
    ///
    /// # Safety
    ///
    /// As for [`SharedPage::inherited`].
    pub(crate) unsafe fn inherited(fd: RawFd) -> io::Result<Self> {
        // SAFETY: by contract.
        Ok(Self { page: unsafe { SharedPage::inherited(fd)? } })
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.page.raw_fd()
    }

    /// Counts calls. Only one thread may do so: this is not an atomic addition, which would cost.
    pub(crate) fn add(&self, calls: u64) {
        self.publish(self.total() + calls);
    }

    /// Sets the count, for a server that keeps it itself.
    pub(crate) fn publish(&self, total: u64) {
        self.page.counter(0).store(total, Ordering::Relaxed);
    }

    /// How many calls have been made; zero if the server does not tell.
    pub(crate) fn total(&self) -> u64 {
        self.page.counter(0).load(Ordering::Relaxed)
    }
}
