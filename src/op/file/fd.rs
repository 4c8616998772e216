//! A file: what all its operations share.
//!
//! Operations hold it while they are in flight, so its descriptor is closed, and its number used
//! again, only after the last one has completed.

use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::driver::Driver;
use crate::op::check_loop::check_loop;
use crate::op::drain::{DrainGates, Drains};
use crate::sys::types::Fd;

/// A file. Dropped, it is closed.
pub(crate) struct FileFd {
    driver: Rc<Driver>,
    /// `None` only while it is dropped.
    fd: Option<OwnedFd>,
    gates: DrainGates,
}

impl FileFd {
    pub(crate) fn new(driver: &Rc<Driver>, fd: OwnedFd) -> Self {
        Self { driver: Rc::clone(driver), fd: Some(fd), gates: DrainGates::default() }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        self.fd.as_ref().expect("the descriptor is there until the file is dropped")
    }

    /// The descriptor as an SQE carries it.
    pub(super) fn sqe_fd(&self) -> Fd {
        Fd(self.fd().as_raw_fd())
    }

    /// Waits until no orphaned write is in the kernel.
    pub(super) fn poll_writes_drained(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        self.gates.writes.poll_drained(context)
    }
}

impl Drains for FileFd {
    fn gates(&self) -> &DrainGates {
        &self.gates
    }
}

impl Drop for FileFd {
    fn drop(&mut self) {
        drop(self.fd.take());
        // A listener may wait for a descriptor.
        self.driver.note_close();
    }
}
