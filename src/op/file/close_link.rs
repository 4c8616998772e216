//! The close at the end of a chain that has opened its file.
//!
//! It is carried out however the links before it have ended, unless the open has failed. If it is
//! not, the file is closed when it is dropped.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use super::fd::FileFd;
use crate::error::Describe;
use crate::op::chain::{Link, NotRun};
use crate::op::operation::{Operation, Step};
use crate::sys::errno::ECANCELED;
use crate::sys::types::{Fd, Fixed};
use crate::sys::{Completion, Submission, opcode};

/// Closes a file.
pub(crate) struct CloseLast {
    file: Rc<FileFd>,
}

impl CloseLast {
    /// Nothing uses the file after that.
    pub(crate) fn new(file: &Rc<FileFd>) -> Self {
        Self { file: Rc::clone(file) }
    }

    /// A descriptor is closed even if close(2) fails. That of a slot fails if the slot is empty.
    fn note(&self, completion: Completion) {
        let is_direct = self.file.descriptor().slot().is_some();
        let is_closed = if is_direct {
            completion.errno().is_none()
        } else {
            !completion.failed_with(ECANCELED)
        };
        if is_closed {
            self.file.note_closed();
        }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for CloseLast {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        let descriptor = self.file.descriptor();
        match (descriptor.slot(), descriptor.fd_if_open()) {
            (Some(slot), _) => opcode::Close::new(Fixed(slot.index())).build(),
            (None, Some(fd)) => opcode::Close::new(Fd(fd.as_raw_fd())).build(),
            (None, None) => unreachable!("a file is closed after it was opened"),
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        self.note(completion);
        Step::Done(completion.result().map(drop).describe("close"))
    }

    fn settle(self, completion: Completion) {
        self.note(completion);
    }
}

impl Link for CloseLast {
    const ENDS_CHAIN: bool = true;

    fn not_run(self, not_run: NotRun) -> Self::Output {
        Err(not_run.into())
    }
}
