//! Reading from a pipe into a runtime-owned buffer, which is taken when there is something to read.
//!
//! Dropped in flight, what was read goes to the unread bytes of the end, and the buffer is
//! returned.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::end::{Access, PipeEnd};
use super::read::ReadStep;
use crate::buf::Lease;
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step};
use crate::op::socket::RecvBuffer;
use crate::sys::errno::EAGAIN;
use crate::sys::pipe::read_now;
use crate::sys::{Completion, Submission};

/// Reads available bytes: nothing at EOF.
pub(crate) struct ReadPipeLease {
    end: Rc<PipeEnd>,
    /// What an inline call has read into, or the SQE in flight reads into.
    buffer: Option<RecvBuffer>,
    step: ReadStep,
}

impl ReadPipeLease {
    pub(crate) fn new(end: &Rc<PipeEnd>) -> Self {
        Self { end: Rc::clone(end), buffer: None, step: Self::first(end) }
    }

    /// Only a file is read without a poll, so that no buffer is held while waiting.
    fn first(end: &PipeEnd) -> ReadStep {
        if end.access() == Access::File { ReadStep::Read } else { ReadStep::Poll }
    }

    fn buffer(&self) -> RecvBuffer {
        RecvBuffer::for_bytes_of(self.end.driver(), || Some(self.end.used_fd()))
    }
}

// SAFETY: the SQE points to no memory, or to the memory of `buffer`, which does not move, and which
// nothing here touches before the completion. The kernel does not write to it after that
// (`uring-sys-tests`, freed_buffer_never_written).
unsafe impl Operation for ReadPipeLease {
    type Output = io::Result<Lease>;

    fn may_be_on_device(&self) -> bool {
        self.end.access() == Access::File
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        ready!(self.end.poll_readable(context));
        Poll::Ready(self.end.take_all_unread().map(|unread| unread.map(Lease::from)))
    }

    fn submission(&mut self) -> Submission {
        if self.step == ReadStep::Poll {
            return self.step.submission(&self.end, std::ptr::null_mut(), 0);
        }
        let buffer = self.buffer();
        let (start, length) = self.buffer.insert(buffer).memory();
        self.step.submission(&self.end, start, length)
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        self.end.has_more.get()
    }

    fn try_inline(&mut self) -> Option<Completion> {
        let mut buffer = self.buffer();
        let (start, length) = buffer.memory();
        // SAFETY: the buffer has that many bytes from there on.
        let done = self.end.call(|fd, call| unsafe { read_now(fd, call, start, length) });
        match done {
            Some(_) => (self.step, self.buffer) = (ReadStep::Read, Some(buffer)),
            None => {
                self.end.has_more.set(false);
                self.step = match self.end.access() {
                    // A poll has reported bytes, and only a worker can read them.
                    Access::Worker if self.step == ReadStep::Read => ReadStep::Read,
                    _ => Self::first(&self.end),
                };
            }
        }
        done
    }

    fn interrupted(&mut self, _completion: Completion) {
        self.buffer = None;
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if self.step == ReadStep::Poll {
            return match completion.result().describe("poll") {
                Ok(_) => {
                    self.end.has_more.set(true);
                    if self.end.access() == Access::Worker {
                        self.step = ReadStep::Read;
                    }
                    Step::Again(self)
                }
                Err(error) => Step::Done(Err(error)),
            };
        }
        let mut buffer = self.buffer.take().expect("a read has a buffer");
        if completion.failed_with(EAGAIN) {
            self.end.has_more.set(false);
            self.step = ReadStep::Poll;
            return Step::Again(self);
        }
        Step::Done(completion.result().describe("read").map(|count| {
            let count = count as usize;
            self.end.note_read(count, buffer.memory().1);
            // SAFETY: the kernel has written `count` bytes.
            unsafe { buffer.lend_bytes(self.end.driver(), count) }
        }))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.end))
    }

    fn settle(self, completion: Completion) {
        let Some(buffer) = self.buffer else { return };
        let count = completion.result().map_or(0, |count| count as usize);
        // SAFETY: the kernel has written `count` bytes.
        let lease = unsafe { buffer.lend_bytes(self.end.driver(), count) };
        self.end.put_back(&lease, completion);
    }
}
