//! Opening a file. Dropped in flight, what has been opened is closed; a file that has been created
//! stays.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use crate::op::operation::{Operation, Step};
use crate::sys::fs::{CURRENT_DIRECTORY, O_CLOEXEC};
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Opens a file and returns its descriptor, which is not inherited by other programs.
pub(crate) struct Open {
    path: CString,
    flags: i32,
    mode: u32,
}

impl Open {
    /// As for open(2).
    pub(crate) fn new(path: CString, flags: i32, mode: u32) -> Self {
        Self { path, flags, mode }
    }

    fn opened(completion: Completion) -> io::Result<OwnedFd> {
        // SAFETY: the result is a new descriptor, and each completion is taken once.
        unsafe { completion.into_fd() }
    }
}

// SAFETY: the SQE points to the path, which lives on the heap and is not changed.
unsafe impl Operation for Open {
    type Output = io::Result<OwnedFd>;

    fn submission(&mut self) -> Submission {
        opcode::OpenAt::new(Fd(CURRENT_DIRECTORY), self.path.as_ptr())
            .flags(self.flags | O_CLOEXEC)
            .mode(self.mode)
            .build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(Self::opened(completion))
    }

    fn settle(self, completion: Completion) {
        drop(Self::opened(completion));
    }
}
