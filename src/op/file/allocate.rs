//! Allocating and releasing space of a file. Dropped in flight, it may happen in full, in part or
//! not at all; what follows on the file waits for it. The kernel carries it out on a worker.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::FileFd;
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step};
use crate::sys::{Completion, Submission, opcode};

/// fallocate(2).
pub(crate) struct Allocate {
    file: Rc<FileFd>,
    mode: i32,
    offset: u64,
    length: u64,
}

impl Allocate {
    /// The mode is that of fallocate(2).
    pub(crate) fn new(file: &Rc<FileFd>, mode: i32, offset: u64, length: u64) -> Self {
        Self { file: Rc::clone(file), mode, offset, length }
    }
}

// SAFETY: the SQE points to no memory: what is an address elsewhere is the length.
unsafe impl Operation for Allocate {
    type Output = io::Result<()>;

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.file.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        let Self { ref file, mode, offset, length } = *self;
        file.submission(|fd| opcode::Fallocate::new(fd, length).offset(offset).mode(mode).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe("fallocate"))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.file))
    }

    fn settle(self, _completion: Completion) {}
}
