//! Writing to a pipe, as much as there is room for or all.
//!
//! The bytes are written by inline calls, which neither wait nor raise SIGPIPE; a Write SQE would
//! do both, if there is no room or no reader left. Where there is no room, a poll waits for it, so
//! the kernel has nothing of a write that waits.
//!
//! Two kinds of descriptors have no such calls, and are written by an SQE: files, and what blocks
//! and cannot be opened once more, by a kernel worker. A worker raises no SIGPIPE: it blocks all
//! signals (`uring-sys-tests`, a_worker_raises_no_sigpipe).
//!
//! Dropped in flight, a write may have written a part; how much is not reported. The next waits for
//! the end of the orphaned one.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::end::{Access, PipeEnd};
use crate::buf::{BufResult, IoBuf};
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::errno::EAGAIN;
use crate::sys::pipe::write_now;
use crate::sys::poll::WRITABLE;
use crate::sys::{Completion, Submission, SubmissionFlags, opcode};
use crate::task::coop;

/// The position of a file itself, as an offset.
const CURRENT_POSITION: u64 = u64::MAX;

/// A pipe that a poll has reported to have room takes as many bytes without waiting for its reader
/// (`PIPE_BUF`).
const MAX_BY_WORKER: usize = 4096;

/// Writes, and returns how many bytes.
pub(crate) struct WritePipe<B> {
    end: Rc<PipeEnd>,
    buffer: B,
    written: usize,
    /// Whether it goes on until all is written.
    writes_all: bool,
    /// Whether the SQE of the next step, or of the one in flight, waits for room.
    is_poll: bool,
    /// Whether the last call wrote less than it was given, so that there is no room.
    is_full: bool,
}

impl<B: IoBuf> WritePipe<B> {
    /// Writes as much as there is room for, at least one byte. The buffer is not empty.
    pub(crate) fn some(end: &Rc<PipeEnd>, buffer: B) -> Self {
        Self::new(end, buffer, false)
    }

    /// Writes all. The buffer is not empty.
    pub(crate) fn all(end: &Rc<PipeEnd>, buffer: B) -> Self {
        Self::new(end, buffer, true)
    }

    fn new(end: &Rc<PipeEnd>, buffer: B, writes_all: bool) -> Self {
        let is_poll = end.access() != Access::File;
        Self { end: Rc::clone(end), buffer, written: 0, writes_all, is_poll, is_full: false }
    }

    /// Where the next bytes are, and how many.
    fn rest(&self) -> (*const u8, usize) {
        // SAFETY: no more has been written than the buffer has.
        let source = unsafe { self.buffer.stable_ptr().add(self.written) };
        (source, sqe_length(self.buffer.bytes_init() - self.written) as usize)
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBuf`), and which
// nothing here changes.
unsafe impl<B: IoBuf> Operation for WritePipe<B> {
    type Output = BufResult<usize, B>;

    fn may_be_on_device(&self) -> bool {
        self.end.access() == Access::File
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.end.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        if self.is_poll {
            return opcode::PollAdd::new(self.end.sqe_fd(), WRITABLE).build();
        }
        let (source, length) = self.rest();
        let is_file = self.end.access() == Access::File;
        let length = if is_file { length } else { length.min(MAX_BY_WORKER) };
        let write = opcode::Write::new(self.end.sqe_fd(), source, length as u32);
        let flags = if is_file { SubmissionFlags::empty() } else { SubmissionFlags::ASYNC };
        write.offset(CURRENT_POSITION).build().flags(flags)
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        self.end.access() != Access::File && !self.is_full
    }

    fn try_inline(&mut self) -> Option<Completion> {
        let (source, length) = self.rest();
        // SAFETY: that many bytes of the buffer are initialised there.
        let done = self.end.call(|fd, call| unsafe { write_now(fd, call, source, length) });
        // A worker writes what a poll has reported to have room, and only then.
        let keeps = done.is_none() && self.end.access() == Access::Worker;
        self.is_poll = if keeps { self.is_poll } else { done.is_none() };
        done
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if self.is_poll {
            return match completion.result().describe("poll") {
                Ok(_) => {
                    self.is_poll = self.end.access() != Access::Worker;
                    self.is_full = false;
                    Step::Again(self)
                }
                Err(error) => Step::Done(BufResult(Err(error), self.buffer)),
            };
        }
        self.is_poll = self.end.access() != Access::File;
        if completion.failed_with(EAGAIN) {
            self.is_poll = true;
            return Step::Again(self);
        }
        match completion.result().describe("write") {
            Ok(count) => {
                self.is_full = (count as usize) < self.rest().1;
                self.written += count as usize;
            }
            Err(error) => return Step::Done(BufResult(Err(error), self.buffer)),
        }
        if self.writes_all && self.written < self.buffer.bytes_init() {
            return Step::Again(self);
        }
        Step::Done(BufResult(Ok(self.written), self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.end))
    }

    fn settle(self, _completion: Completion) {}
}

/// Writes as much as there is room for at once, or fails with `WouldBlock`.
pub(crate) fn try_write(end: &PipeEnd, bytes: &[u8]) -> io::Result<usize> {
    let would_block = || Err(io::ErrorKind::WouldBlock.into());
    if bytes.is_empty() {
        return Ok(0);
    }
    let driver = end.driver();
    let (_, is_drained) = end.are_drained();
    if !is_drained || !driver.may_run_inline() || !coop::try_spend() {
        return would_block();
    }
    let (source, length) = (bytes.as_ptr(), sqe_length(bytes.len()) as usize);
    // SAFETY: that is the slice.
    let done = end.call(|fd, call| unsafe { write_now(fd, call, source, length) });
    let Some(done) = done else { return would_block() };
    driver.note_inline_call(done.result().unwrap_or(0) as usize);
    done.result().describe("write").map(|count| count as usize)
}
