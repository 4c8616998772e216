//! Writing to an offset of a file, or to its end. Dropped in flight, the write may happen in full,
//! in part or not at all; what follows on the file waits for it.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::FileFd;
use crate::buf::{BufResult, IoBuf};
use crate::error::describe;
use crate::op::chain::{Link, NotRun};
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::fs::RWF_APPEND;
use crate::sys::{Completion, Submission, opcode};

/// As an offset: the kernel's own position of the file.
const OWN_POSITION: u64 = u64::MAX;

/// Writes a buffer.
pub(crate) struct WriteAt<B> {
    file: Rc<FileFd>,
    buffer: B,
    offset: u64,
    /// How many bytes earlier steps have written.
    done: usize,
    /// Whether all of the buffer is to be written.
    is_all: bool,
    /// Whether the kernel is to find the end of the file, instead of the offset.
    appends: bool,
}

impl<B: IoBuf> WriteAt<B> {
    /// Writes what one step writes. An offset beyond `i64::MAX` would mean the file's own position
    /// to the kernel: the caller refuses it.
    pub(crate) fn new(file: &Rc<FileFd>, buffer: B, offset: u64) -> Self {
        let file = Rc::clone(file);
        Self { file, buffer, offset, done: 0, is_all: false, appends: false }
    }

    /// Writes all of the buffer, in as many steps as that takes.
    pub(crate) fn all(file: &Rc<FileFd>, buffer: B, offset: u64) -> Self {
        Self { is_all: true, ..Self::new(file, buffer, offset) }
    }

    /// Writes where the kernel's own position of the file is, and moves that: to the end, if the
    /// file was opened to append. A file without offsets has no other place.
    pub(crate) fn at_own_position(file: &Rc<FileFd>, buffer: B, is_all: bool) -> Self {
        Self { is_all, ..Self::new(file, buffer, OWN_POSITION) }
    }

    /// Writes all of the buffer to the end of the file.
    pub(crate) fn append(file: &Rc<FileFd>, buffer: B) -> Self {
        Self { appends: true, ..Self::all(file, buffer, 0) }
    }

    pub(crate) fn file(&self) -> &Rc<FileFd> {
        &self.file
    }

    #[cold]
    fn fail(self, error: io::Error) -> Step<Self> {
        let (start, length) = (self.buffer.stable_ptr(), self.buffer.bytes_init() - self.done);
        let part = (start.wrapping_add(self.done), length);
        let has_offset = !self.appends && self.offset != OWN_POSITION;
        let offset = has_offset.then(|| self.offset + self.done as u64);
        let error = self.file.transfer_error("write", error, offset, [part].into_iter());
        Step::Done(BufResult(Err(error), self.buffer))
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBuf`), and which
// nothing here changes.
unsafe impl<B: IoBuf> Operation for WriteAt<B> {
    type Output = BufResult<usize, B>;

    const MAY_BE_ON_DEVICE: bool = true;

    fn feeds_device(&self) -> bool {
        self.file.feeds_device()
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.file.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        let length = sqe_length(self.buffer.bytes_init() - self.done);
        // SAFETY: `done` bytes of the buffer have been written, so it has them.
        let start = unsafe { self.buffer.stable_ptr().add(self.done) };
        let flags = if self.appends { RWF_APPEND } else { 0 };
        // The file's own position stays one.
        let offset = self.offset.saturating_add(self.done as u64);
        if let Some(index) = self.file.driver().registered_index(&self.buffer) {
            return self.file.submission(|fd| {
                let write = opcode::WriteFixed::new(fd, start, length, index).offset(offset);
                write.rw_flags(flags).build()
            });
        }
        self.file.submission(|fd| {
            opcode::Write::new(fd, start, length).offset(offset).rw_flags(flags).build()
        })
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let count = match completion.result() {
            Ok(count) => count as usize,
            Err(error) => return self.fail(error),
        };
        self.done += count;
        if !self.is_all || self.done == self.buffer.bytes_init() {
            return Step::Done(BufResult(Ok(self.done), self.buffer));
        }
        if count == 0 {
            let error = io::Error::new(io::ErrorKind::WriteZero, "the file takes no more bytes");
            return Step::Done(BufResult(Err(describe("write", error)), self.buffer));
        }
        Step::Again(self)
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.file))
    }

    fn settle(self, _completion: Completion) {}
}

impl<B: IoBuf> Link for WriteAt<B> {
    fn length(&self) -> Option<usize> {
        Some(self.buffer.bytes_init() - self.done)
    }

    fn is_last_step(&self) -> bool {
        !self.is_all
    }

    fn not_run(self, not_run: NotRun) -> Self::Output {
        BufResult(Err(not_run.into()), self.buffer)
    }
}
