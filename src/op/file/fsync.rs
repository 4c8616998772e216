//! Making what has been written to a file durable. It waits for orphaned writes first. Dropped in
//! flight, the file may have been synchronised or not.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::FileFd;
use crate::error::Describe;
use crate::op::chain::{Link, NotRun};
use crate::op::operation::{Operation, Step};
use crate::sys::types::FsyncFlags;
use crate::sys::{Completion, Submission, opcode};

/// Synchronises a file with its device.
pub(crate) struct Fsync {
    file: Rc<FileFd>,
    flags: FsyncFlags,
}

impl Fsync {
    /// Data and metadata, as fsync(2) does.
    pub(crate) fn all(file: &Rc<FileFd>) -> Self {
        Self { file: Rc::clone(file), flags: FsyncFlags::empty() }
    }

    /// Data, and what of the metadata is needed to read it, as fdatasync(2) does.
    pub(crate) fn data(file: &Rc<FileFd>) -> Self {
        Self { file: Rc::clone(file), flags: FsyncFlags::DATASYNC }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for Fsync {
    type Output = io::Result<()>;

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.file.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        self.file.submission(|fd| opcode::Fsync::new(fd).flags(self.flags).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe("fsync"))
    }

    fn settle(self, _completion: Completion) {}
}

impl Link for Fsync {
    fn is_last_step(&self) -> bool {
        true
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn not_run(self, not_run: NotRun) -> Self::Output {
        Err(not_run.into())
    }
}
