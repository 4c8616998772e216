//! Asking for the metadata of a file. Dropped in flight, it has no effect.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::error::Describe;
use crate::op::file::FileFd;
use crate::op::operation::{Operation, Step};
use crate::sys::paths::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, PathAt};
use crate::sys::statx::{BASIC, Statx};
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Returns the metadata of a file.
pub(crate) struct Stat {
    target: Target,
    /// The kernel's answer.
    room: Box<Statx>,
}

enum Target {
    Path { at: PathAt, flags: i32 },
    File { fd: RawFd, open: Rc<FileFd> },
}

impl Stat {
    /// Of what a path leads to; a symbolic link at its end is followed or not.
    pub(crate) fn of_path(at: PathAt, follow: bool) -> Self {
        let flags = if follow { 0 } else { AT_SYMLINK_NOFOLLOW };
        Self { target: Target::Path { at, flags }, room: Statx::room() }
    }

    /// Of what a descriptor without a path refers to.
    pub(crate) fn of_descriptor(at: PathAt) -> Self {
        Self { target: Target::Path { at, flags: AT_EMPTY_PATH }, room: Statx::room() }
    }

    /// # Errors
    ///
    /// If the file is a direct descriptor, with which the kernel refuses the operation, and cannot
    /// get one of the process.
    pub(crate) fn of_file(file: &Rc<FileFd>) -> io::Result<Self> {
        let fd = file.fd()?.as_raw_fd();
        Ok(Self { target: Target::File { fd, open: Rc::clone(file) }, room: Statx::room() })
    }
}

// SAFETY: the SQE points to the bytes of the path, which are on the heap or static and are not
// changed, and to the box, which nothing here reads before the completion.
unsafe impl Operation for Stat {
    type Output = io::Result<Box<Statx>>;

    /// A dropped write may still change the length and the times.
    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        match &self.target {
            Target::Path { .. } => Poll::Ready(None),
            Target::File { open, .. } => open.poll_writes_drained(context).map(|()| None),
        }
    }

    fn submission(&mut self) -> Submission {
        let (directory, path, flags) = match &self.target {
            Target::Path { at, flags } => (at.sqe_directory(), at.path(), *flags),
            Target::File { fd, .. } => (Fd(*fd), c"", AT_EMPTY_PATH),
        };
        opcode::Statx::new(directory, path.as_ptr(), self.room.as_mut_ptr())
            .flags(flags)
            .mask(BASIC)
            .build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        let result = completion.result();
        let result = match &self.target {
            Target::Path { at, .. } => result.describe(format_args!("metadata of {at}")),
            Target::File { .. } => result.describe("metadata of a file"),
        };
        Step::Done(result.map(|_| self.room))
    }

    fn settle(self, _completion: Completion) {}
}
