//! Writing to an offset of a file. Dropped in flight, the write may happen in full, in part or not
//! at all; a later fsync waits for it.

use std::rc::Rc;

use super::fd::FileFd;
use crate::buf::{BufResult, IoBuf};
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::{Completion, Submission, opcode};

/// Writes a buffer, perhaps not all of it.
pub(crate) struct WriteAt<B> {
    file: Rc<FileFd>,
    buffer: B,
    offset: u64,
}

impl<B: IoBuf> WriteAt<B> {
    /// An offset beyond `i64::MAX` would mean the file's own position to the kernel: the caller
    /// refuses it.
    pub(crate) fn new(file: &Rc<FileFd>, buffer: B, offset: u64) -> Self {
        Self { file: Rc::clone(file), buffer, offset }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBuf`), and which
// nothing here changes.
unsafe impl<B: IoBuf> Operation for WriteAt<B> {
    type Output = BufResult<usize, B>;

    const MAY_BE_ON_DEVICE: bool = true;

    fn submission(&mut self) -> Submission {
        let length = sqe_length(self.buffer.bytes_init());
        let start = self.buffer.stable_ptr();
        let offset = self.offset;
        if let Some(index) = self.file.driver().registered_index(&self.buffer) {
            let write =
                |fd| opcode::WriteFixed::new(fd, start, length, index).offset(offset).build();
            return self.file.submission(write);
        }
        self.file.submission(|fd| opcode::Write::new(fd, start, length).offset(offset).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        let result = completion.result().describe("write").map(|count| count as usize);
        Step::Done(BufResult(result, self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.file))
    }

    fn settle(self, _completion: Completion) {}
}
