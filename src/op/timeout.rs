//! The ring's own timeout, for a deadline that must hold inside the kernel.

use std::io;
use std::time::Duration;

use super::operation::{Operation, Step};
use crate::error::Describe;
use crate::sys::errno::ETIME;
use crate::sys::types::Timespec;
use crate::sys::{Completion, Submission, opcode, timespec};

/// Completes after a duration.
pub(crate) struct KernelTimeout {
    duration: Box<Timespec>,
}

impl KernelTimeout {
    pub(crate) fn new(duration: Duration) -> Self {
        Self { duration: Box::new(timespec(duration)) }
    }
}

// SAFETY: the SQE points to the duration, which lives in a box and is not changed. The kernel reads
// it at submission (`uring-sys-tests`, timespec_read_at_submit).
unsafe impl Operation for KernelTimeout {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        opcode::Timeout::new(&*self.duration).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        // The kernel reports a timeout that has elapsed as an error.
        Step::Done(if completion.failed_with(ETIME) {
            Ok(())
        } else {
            completion.result().map(drop).describe("timeout")
        })
    }

    fn settle(self, _completion: Completion) {}
}
