//! Waiting until a descriptor that is never closed can be read.

use std::io;
use std::os::fd::RawFd;

use super::{Operation, Step};
use crate::error::Describe;
use crate::sys::poll::READABLE;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Completes when the descriptor can be read.
pub(crate) struct Readable {
    fd: RawFd,
}

impl Readable {
    /// The descriptor stays open for good.
    pub(crate) fn new(fd: RawFd) -> Self {
        Self { fd }
    }
}

// SAFETY: the entry points to no memory.
unsafe impl Operation for Readable {
    type Output = io::Result<()>;

    fn entry(&mut self) -> Submission {
        opcode::PollAdd::new(Fd(self.fd), READABLE).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe("poll"))
    }

    fn settle(self, _completion: Completion) {}
}
