//! The ring's own timeout, for a deadline that must hold inside the kernel.

use std::io;
use std::time::Duration;

use super::{Operation, Step};
use crate::error::Describe;
use crate::sys::errno::ETIME;
use crate::sys::types::Timespec;
use crate::sys::{Completion, Submission, opcode, timespec};

/// Completes after a duration.
pub(crate) struct KernelTimeout {
    limit: Box<Timespec>,
}

impl KernelTimeout {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit: Box::new(timespec(limit)) }
    }
}

// SAFETY: the entry points to the limit, which stands in a box and is not changed.
unsafe impl Operation for KernelTimeout {
    type Output = io::Result<()>;

    fn entry(&mut self) -> Submission {
        opcode::Timeout::new(&*self.limit).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        // The kernel calls a timeout that has passed an error.
        Step::Done(if completion.failed_with(ETIME) {
            Ok(())
        } else {
            completion.result().map(drop).describe("timeout")
        })
    }

    fn settle(self, _completion: Completion) {}
}
