//! Waiting once until a descriptor is ready.

use std::io;
use std::os::fd::RawFd;

use super::operation::{Operation, Step};
use crate::error::Describe;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Completes when one of the events has been reported for a descriptor, or an error or hang-up.
pub(crate) struct PollOnce {
    fd: RawFd,
    events: u32,
}

impl PollOnce {
    /// The descriptor must never be closed: another file would get its number.
    pub(crate) fn of_permanent(fd: RawFd, events: u32) -> Self {
        Self { fd, events }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for PollOnce {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        opcode::PollAdd::new(Fd(self.fd), self.events).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe("poll"))
    }

    fn settle(self, _completion: Completion) {}
}
