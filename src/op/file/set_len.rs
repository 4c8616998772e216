//! Changing the length of a file. Dropped in flight, it may happen or not; what follows on the file
//! waits for it. The kernel has it on the ring from Linux 6.9 on, and carries it out on a worker.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::FileFd;
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step};
use crate::sys::{Completion, Submission, opcode};

/// Cuts a file off, or extends it by a hole.
pub(crate) struct SetLen {
    file: Rc<FileFd>,
    length: u64,
}

impl SetLen {
    /// The length is at most `i64::MAX`.
    pub(crate) fn new(file: &Rc<FileFd>, length: u64) -> Self {
        Self { file: Rc::clone(file), length }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for SetLen {
    type Output = io::Result<()>;

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.file.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        let length = self.length;
        self.file.submission(|fd| opcode::Ftruncate::new(fd, length).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe("ftruncate"))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.file))
    }

    fn settle(self, _completion: Completion) {}
}
