//! Closing a file, with the error that the file system may report then: that it could not store
//! what was written. A kernel worker carries it out if it may wait for that. Dropped in flight, the
//! file is closed all the same.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;

use crate::driver::Driver;
use crate::error::Describe;
use crate::op::operation::{Operation, Step};
use crate::sys::errno::ECANCELED;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Closes a descriptor.
pub(crate) struct Close {
    driver: Rc<Driver>,
    /// Closed here if the kernel never begins.
    fd: OwnedFd,
}

impl Close {
    pub(crate) fn new(driver: &Rc<Driver>, fd: OwnedFd) -> Self {
        Self { driver: Rc::clone(driver), fd }
    }

    fn closed(self, completion: Completion) {
        if completion.failed_with(ECANCELED) {
            drop(self.fd);
        } else {
            // The kernel has released the number, whatever error it reports.
            let _ = self.fd.into_raw_fd();
        }
        // A listener may wait for a descriptor.
        self.driver.note_close();
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for Close {
    type Output = io::Result<()>;

    /// The number has been released and may be another file's.
    const REPEATS_INTERRUPTED: bool = false;

    fn submission(&mut self) -> Submission {
        opcode::Close::new(Fd(self.fd.as_raw_fd())).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        self.closed(completion);
        Step::Done(completion.result().map(drop).describe("close"))
    }

    fn settle(self, completion: Completion) {
        self.closed(completion);
    }
}
