//! Moving pages of a file into a pipe of the caller, as much as it has room for: at once if they
//! are in memory, else by a kernel worker, since the file's device may take time.
//!
//! The worker does not wait for room: a poll does. Dropped in flight, a part may have been moved;
//! how much is not reported. The next write waits for the end of the orphaned move.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::end::PipeEnd;
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::FileFd;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step};
use crate::sys::errno::EAGAIN;
use crate::sys::poll::WRITABLE;
use crate::sys::splice::{NO_WAIT, splice_cached};
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Moves some bytes from an offset of the file on; none at its end.
pub(crate) struct SpliceFile {
    file: Rc<FileFd>,
    /// The file's descriptor of the process.
    fd: RawFd,
    to: Rc<PipeEnd>,
    offset: i64,
    length: u32,
    /// Whether the last step has found no room.
    is_full: bool,
    /// Whether the SQE in flight waits for room.
    is_poll: bool,
}

impl SpliceFile {
    /// How many bytes are moved at once. More at a time is slower: they leave the cache.
    const MAX: u32 = 64 * 1024;

    /// The length is not zero.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an offset beyond `i64::MAX`; and if the file has no descriptor of the
    /// process, and cannot get one.
    pub(crate) fn new(
        file: &Rc<FileFd>,
        offset: u64,
        to: &Rc<PipeEnd>,
        length: usize,
    ) -> io::Result<Self> {
        let offset = i64::try_from(offset).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "no file has an offset beyond i64::MAX")
        })?;
        let fd = file.fd()?.as_raw_fd();
        let (file, to) = (Rc::clone(file), Rc::clone(to));
        let length = u32::try_from(length).unwrap_or(Self::MAX).min(Self::MAX);
        Ok(Self { file, fd, to, offset, length, is_full: false, is_poll: false })
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for SpliceFile {
    type Output = io::Result<usize>;

    fn may_be_on_device(&self) -> bool {
        !self.is_poll
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        ready!(self.file.poll_writes_drained(context));
        self.to.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        self.is_poll = self.is_full;
        if self.is_poll {
            return opcode::PollAdd::new(self.to.sqe_fd(), WRITABLE).build();
        }
        let (file, pipe) = (Fd(self.fd), self.to.sqe_fd());
        let splice = opcode::Splice::new(file, self.offset, pipe, -1, self.length);
        splice.flags(NO_WAIT).build()
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        !self.is_full
    }

    fn try_inline(&mut self) -> Option<Completion> {
        splice_cached(self.fd, self.offset as u64, self.to.used_fd(), self.length)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if mem::take(&mut self.is_poll) {
            self.is_full = false;
            return match completion.result().describe("poll") {
                Ok(_) => Step::Again(self),
                Err(error) => Step::Done(Err(error)),
            };
        }
        if completion.failed_with(EAGAIN) {
            self.is_full = true;
            return Step::Again(self);
        }
        Step::Done(completion.result().describe("splice").map(|count| count as usize))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.to))
    }

    fn settle(self, _completion: Completion) {}
}
