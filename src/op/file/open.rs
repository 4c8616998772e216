//! Opening a file. Dropped in flight, what has been opened is closed; a file that has been created
//! stays.
//!
//! The kernel first tries an open as if it had `O_NONBLOCK`, if the path is cached. A FIFO for
//! writing that no process reads fails so, with `ENXIO`; the second step waits for a reader on a
//! kernel worker, as open(2) does.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::describe;
use crate::op::operation::{Operation, Step};
use crate::sys::errno::ENXIO;
use crate::sys::fs::{CURRENT_DIRECTORY, O_CLOEXEC, O_NONBLOCK};
use crate::sys::types::{DestinationSlot, Fd};
use crate::sys::{Completion, Submission, SubmissionFlags, opcode};

/// Opens a file and returns its descriptor, which is not inherited by other programs.
pub(crate) struct Open {
    path: CString,
    flags: i32,
    mode: u32,
    on_worker: bool,
}

impl Open {
    /// As for open(2).
    pub(crate) fn new(path: CString, flags: i32, mode: u32) -> Self {
        Self { path, flags, mode, on_worker: false }
    }

    /// The SQE, which opens the file into a file slot if one is given. Those are not inherited
    /// anyway, and the kernel refuses to be told so.
    pub(super) fn entry(&self, slot: Option<DestinationSlot>) -> Submission {
        let flags = if slot.is_some() { self.flags } else { self.flags | O_CLOEXEC };
        let open = opcode::OpenAt::new(Fd(CURRENT_DIRECTORY), self.path.as_ptr());
        let open = open.flags(flags).mode(self.mode).file_index(slot).build();
        if self.on_worker { open.flags(SubmissionFlags::ASYNC) } else { open }
    }

    /// Whether the next step is to wait on a worker.
    pub(super) fn moves_to_worker(&mut self, completion: Completion) -> bool {
        let is_refused = completion.failed_with(ENXIO) && self.flags & O_NONBLOCK == 0;
        is_refused && !std::mem::replace(&mut self.on_worker, true)
    }

    /// Names the file that was to be opened.
    #[cold]
    pub(super) fn describe(&self, error: io::Error) -> io::Error {
        let path = Path::new(OsStr::from_bytes(self.path.to_bytes()));
        describe(format!("open {}", path.display()), error)
    }

    pub(super) fn opened(completion: Completion) -> io::Result<OwnedFd> {
        // SAFETY: the result is a new descriptor, and each completion is taken once.
        unsafe { completion.into_fd() }
    }
}

// SAFETY: the SQE points to the path, which lives on the heap and is not changed.
unsafe impl Operation for Open {
    type Output = io::Result<OwnedFd>;

    fn submission(&mut self) -> Submission {
        self.entry(None)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if self.moves_to_worker(completion) {
            return Step::Again(self);
        }
        Step::Done(Self::opened(completion))
    }

    fn settle(self, completion: Completion) {
        drop(Self::opened(completion));
    }
}
