//! Reading from an offset of a file. Dropped in flight, it has no effect: a file is read by
//! offsets, so the next read finds the same bytes.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::FileFd;
use crate::buf::{BufResult, IoBufMut};
use crate::error::describe;
use crate::op::chain::{Link, NotRun};
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::{Completion, Submission, opcode};

/// Reads at most the buffer's total; nothing at the end of the file.
pub(crate) struct ReadAt<B> {
    file: Rc<FileFd>,
    buffer: B,
    offset: u64,
    /// How many bytes earlier steps have read.
    done: usize,
    /// Whether the buffer is to be filled.
    is_exact: bool,
}

impl<B: IoBufMut> ReadAt<B> {
    /// Reads what one step reads. An offset beyond `i64::MAX` would mean the file's own position to
    /// the kernel: the caller refuses it.
    pub(crate) fn new(file: &Rc<FileFd>, buffer: B, offset: u64) -> Self {
        Self { file: Rc::clone(file), buffer, offset, done: 0, is_exact: false }
    }

    /// Fills the buffer, in as many steps as that takes.
    pub(crate) fn exact(file: &Rc<FileFd>, buffer: B, offset: u64) -> Self {
        Self { is_exact: true, ..Self::new(file, buffer, offset) }
    }

    #[cold]
    fn end_early(self, missing: usize) -> Step<Self> {
        let text = format!("the file ends {missing} bytes before the end of the buffer");
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, text);
        Step::Done(BufResult(Err(describe("read", error)), self.buffer))
    }

    #[cold]
    fn fail(self, error: io::Error) -> Step<Self> {
        let (start, length) = (self.buffer.stable_ptr(), self.buffer.bytes_total() - self.done);
        let part = (start.wrapping_add(self.done), length);
        let offset = self.offset + self.done as u64;
        let error = self.file.transfer_error("read", error, Some(offset), [part].into_iter());
        Step::Done(BufResult(Err(error), self.buffer))
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBufMut`), and
// nothing here touches it before the completion.
unsafe impl<B: IoBufMut> Operation for ReadAt<B> {
    type Output = BufResult<usize, B>;

    const MAY_BE_ON_DEVICE: bool = true;

    fn feeds_device(&self) -> bool {
        self.file.feeds_device()
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.file.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        let length = sqe_length(self.buffer.bytes_total() - self.done);
        // SAFETY: `done` bytes of the buffer have been read, so it has them.
        let start = unsafe { self.buffer.stable_mut_ptr().add(self.done) };
        let offset = self.offset + self.done as u64;
        if let Some(index) = self.file.driver().registered_index(&self.buffer) {
            let read = |fd| opcode::ReadFixed::new(fd, start, length, index).offset(offset).build();
            return self.file.submission(read);
        }
        self.file.submission(|fd| opcode::Read::new(fd, start, length).offset(offset).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let count = match completion.result() {
            Ok(count) => count as usize,
            Err(error) => return self.fail(error),
        };
        self.done += count;
        // SAFETY: the kernel has written `done` bytes to the start of the buffer.
        unsafe { self.buffer.set_init(self.done) };
        let missing = if self.is_exact { self.buffer.bytes_total() - self.done } else { 0 };
        match missing {
            0 => Step::Done(BufResult(Ok(self.done), self.buffer)),
            missing if count == 0 => self.end_early(missing),
            _ => Step::Again(self),
        }
    }

    fn settle(self, _completion: Completion) {}
}

impl<B: IoBufMut> Link for ReadAt<B> {
    fn length(&self) -> Option<usize> {
        Some(self.buffer.bytes_total() - self.done)
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn is_last_step(&self) -> bool {
        !self.is_exact
    }

    fn not_run(self, not_run: NotRun) -> Self::Output {
        BufResult(Err(not_run.into()), self.buffer)
    }
}
