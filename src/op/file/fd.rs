//! A file: what all its operations share.
//!
//! Operations hold it while they are in flight, so its descriptor is closed, and its number used
//! again, only after the last one has completed.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::driver::Driver;
use crate::op::check_loop::check_loop;
use crate::op::descriptor::Descriptor;
use crate::op::drain::{DrainGates, Drains};
use crate::sys::Submission;
use crate::sys::types::Fd;
use crate::task::LocalWaker;

/// A file. Dropped, it is closed.
pub(crate) struct FileFd {
    driver: Rc<Driver>,
    /// `None` only while it is dropped.
    descriptor: Option<Descriptor>,
    gates: DrainGates,
    /// The tasks that wait for the end of orphaned writes: several may synchronise one file.
    waiting: RefCell<Vec<LocalWaker>>,
}

impl FileFd {
    pub(crate) fn new(driver: &Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        let (gates, waiting) = (DrainGates::default(), RefCell::default());
        Self { driver: Rc::clone(driver), descriptor: Some(descriptor.into()), gates, waiting }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        self.descriptor.as_ref().expect("the descriptor is there until the file is dropped")
    }

    /// The descriptor of the process, for system calls; see [`Descriptor::fd`].
    pub(crate) fn fd(&self) -> io::Result<&OwnedFd> {
        self.descriptor().fd()
    }

    /// Makes an SQE that uses the file.
    pub(in crate::op) fn submission(&self, build: impl FnOnce(Fd) -> Submission) -> Submission {
        self.descriptor().submission(build)
    }

    /// Waits until no orphaned write is in the kernel.
    pub(super) fn poll_writes_drained(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        if self.gates.writes.is_drained() {
            return Poll::Ready(());
        }
        // Cloning a waker is foreign code, which may have completed the last orphan: look once
        // more.
        let waker = LocalWaker::new(context.waker());
        if self.gates.writes.is_drained() {
            return Poll::Ready(());
        }
        if !self.waiting.borrow().iter().any(|present| present.will_wake(context.waker())) {
            self.waiting.borrow_mut().push(waker);
        }
        Poll::Pending
    }
}

impl Drains for FileFd {
    fn gates(&self) -> &DrainGates {
        &self.gates
    }

    fn drained(&self) {
        for waker in self.waiting.take() {
            self.driver.report_panic(waker.wake_catching_panic());
        }
    }
}

impl Drop for FileFd {
    fn drop(&mut self) {
        drop(self.descriptor.take());
        // A listener may wait for a descriptor.
        self.driver.note_close();
    }
}
