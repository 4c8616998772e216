//! Descriptors that orphaned reads have received and no read has returned.
//!
//! What a peer has passed may take long to be closed: a socket that lingers, a file of a network
//! file system. So what is not asked for is closed on a kernel worker.

use std::mem;
use std::rc::Rc;

use super::socket::close_on_a_worker;
use crate::driver::Driver;
use crate::sys::passed_fds::PassedFds;

/// Descriptors. Dropped, they are closed without making this thread wait.
pub(in crate::op) struct OrphanedFds {
    driver: Rc<Driver>,
    passed: PassedFds,
}

impl OrphanedFds {
    pub(in crate::op) fn new(driver: &Rc<Driver>, passed: PassedFds) -> Self {
        Self { driver: Rc::clone(driver), passed }
    }

    /// The first `max` of them. The others are closed.
    pub(in crate::op) fn into_passed(mut self, max: usize) -> PassedFds {
        let passed = &mut self.passed;
        let others = passed.fds.split_off(max.min(passed.fds.len()));
        let is_truncated = passed.is_truncated || !others.is_empty();
        PassedFds { fds: mem::replace(&mut passed.fds, others), is_truncated }
    }
}

impl Drop for OrphanedFds {
    fn drop(&mut self) {
        for fd in self.passed.fds.drain(..) {
            close_on_a_worker(&self.driver, fd);
        }
    }
}
