//! Reading from a pipe into an owned buffer.
//!
//! Dropped in flight, what was read goes to the unread bytes of the end, and so do EOF and an
//! error.

use std::rc::Rc;
use std::{io, slice};

use super::end::{Access, PipeEnd};
use crate::buf::{BufResult, IoBufMut};
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::errno::EAGAIN;
use crate::sys::pipe::read_now;
use crate::sys::poll::READABLE;
use crate::sys::{Completion, Submission, SubmissionFlags, opcode};
use crate::task::coop;

/// The position of a file itself, as an offset.
const CURRENT_POSITION: u64 = u64::MAX;

/// Reads available bytes, at most the buffer's total, which is not zero; none at EOF.
pub(crate) struct ReadPipe<B> {
    end: Rc<PipeEnd>,
    buffer: B,
    step: ReadStep,
}

/// What the SQE of the next step, or of the one in flight, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadStep {
    /// It waits until there is something to read.
    Poll,
    /// It reads.
    Read,
}

impl ReadStep {
    /// The first step. Where the kernel waits without a worker, one SQE does all.
    pub(super) fn first(end: &PipeEnd) -> Self {
        match end.access() {
            Access::NoWait | Access::NonBlocking | Access::Socket | Access::File => Self::Read,
            Access::Unknown | Access::Worker => Self::Poll,
        }
    }

    /// The step after a poll that has reported something, unless an inline call can be made.
    pub(super) fn after_poll(end: &PipeEnd) -> Self {
        // Another poll leaves the call to the next turn.
        if end.access() == Access::Unknown { Self::Poll } else { Self::Read }
    }

    /// The step instead of an inline call that found nothing, or that there is not.
    fn after_no_call(self, end: &PipeEnd) -> Self {
        // A worker reads what a poll has reported, and only then.
        if end.access() == Access::Worker { self } else { Self::first(end) }
    }

    /// The SQE of the step.
    pub(super) fn submission(self, end: &PipeEnd, start: *mut u8, length: usize) -> Submission {
        match self {
            Self::Poll => opcode::PollAdd::new(end.sqe_fd(), READABLE).build(),
            Self::Read => {
                let read = opcode::Read::new(end.sqe_fd(), start, sqe_length(length));
                let read = read.offset(CURRENT_POSITION).build();
                let on_worker = end.access() == Access::Worker;
                read.flags(if on_worker {
                    SubmissionFlags::ASYNC
                } else {
                    SubmissionFlags::empty()
                })
            }
        }
    }
}

impl<B: IoBufMut> ReadPipe<B> {
    pub(crate) fn new(end: &Rc<PipeEnd>, buffer: B) -> Self {
        Self { end: Rc::clone(end), buffer, step: ReadStep::first(end) }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBufMut`), and
// nothing here touches it before the completion. The kernel does not write to it after that
// (`uring-sys-tests`, freed_buffer_never_written).
unsafe impl<B: IoBufMut> Operation for ReadPipe<B> {
    type Output = BufResult<usize, B>;

    fn may_be_on_device(&self) -> bool {
        self.end.access() == Access::File
    }

    fn submission(&mut self) -> Submission {
        let (start, length) = (self.buffer.stable_mut_ptr(), self.buffer.bytes_total());
        self.step.submission(&self.end, start, length)
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        self.end.has_more.get()
    }

    fn try_inline(&mut self) -> Option<Completion> {
        let (start, length) = (self.buffer.stable_mut_ptr(), self.buffer.bytes_total());
        // SAFETY: the buffer has that many bytes from there on.
        let done = self.end.call(|fd, call| unsafe { read_now(fd, call, start, length) });
        match done {
            Some(_) => self.step = ReadStep::Read,
            None => {
                self.end.has_more.set(false);
                self.step = self.step.after_no_call(&self.end);
            }
        }
        done
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if self.step == ReadStep::Poll {
            return match completion.result().describe("poll") {
                Ok(_) => {
                    self.end.has_more.set(true);
                    self.step = ReadStep::after_poll(&self.end);
                    Step::Again(self)
                }
                Err(error) => Step::Done(BufResult(Err(error), self.buffer)),
            };
        }
        if completion.failed_with(EAGAIN) {
            // Some kernels do not wait for a descriptor that does not block.
            self.end.has_more.set(false);
            self.step = ReadStep::Poll;
            return Step::Again(self);
        }
        let result = completion.result().describe("read").map(|count| count as usize);
        if let Ok(count) = result {
            self.end.note_read(count, self.buffer.bytes_total());
            // SAFETY: the kernel has written `count` bytes to the start of the buffer.
            unsafe { self.buffer.set_init(count) };
        }
        Step::Done(BufResult(result, self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.end))
    }

    /// The buffer is not told of the bytes: that is foreign code, and bytes must not be lost by its
    /// panic.
    fn settle(mut self, completion: Completion) {
        if self.step == ReadStep::Poll {
            return;
        }
        let count = completion.result().map_or(0, |count| count as usize);
        // SAFETY: the kernel has written `count` bytes to the start of the buffer.
        let bytes = unsafe { slice::from_raw_parts(self.buffer.stable_mut_ptr(), count) };
        self.end.put_back(bytes, completion);
    }
}

/// Reads available bytes at once, or fails with `WouldBlock`.
pub(crate) fn try_read(end: &PipeEnd, memory: &mut [u8]) -> io::Result<usize> {
    let would_block = || Err(io::ErrorKind::WouldBlock.into());
    if memory.is_empty() {
        return Ok(0);
    }
    let driver = end.driver();
    let (is_drained, _) = end.are_drained();
    if !is_drained || !driver.may_run_inline() || !coop::try_spend() {
        return would_block();
    }
    if let Some(unread) = end.take_unread_slice(memory) {
        return unread;
    }
    let (start, length) = (memory.as_mut_ptr(), memory.len());
    // SAFETY: that is the slice.
    let done = end.call(|fd, call| unsafe { read_now(fd, call, start, length) });
    let Some(done) = done else { return would_block() };
    driver.note_inline_call(done.result().unwrap_or(0) as usize);
    done.result().describe("read").map(|count| count as usize)
}
