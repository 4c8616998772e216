//! Reading from an offset of a file. Dropped in flight, it has no effect: a file is read by
//! offsets, so the next read finds the same bytes.

use std::rc::Rc;

use super::fd::FileFd;
use crate::buf::{BufResult, IoBufMut};
use crate::error::Describe;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::{Completion, Submission, opcode};

/// Reads at most the buffer's total; nothing at the end of the file.
pub(crate) struct ReadAt<B> {
    file: Rc<FileFd>,
    buffer: B,
    offset: u64,
}

impl<B: IoBufMut> ReadAt<B> {
    /// An offset beyond `i64::MAX` would mean the file's own position to the kernel: the caller
    /// refuses it.
    pub(crate) fn new(file: &Rc<FileFd>, buffer: B, offset: u64) -> Self {
        Self { file: Rc::clone(file), buffer, offset }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBufMut`), and
// nothing here touches it before the completion.
unsafe impl<B: IoBufMut> Operation for ReadAt<B> {
    type Output = BufResult<usize, B>;

    const MAY_BE_ON_DEVICE: bool = true;

    fn submission(&mut self) -> Submission {
        let length = sqe_length(self.buffer.bytes_total());
        let start = self.buffer.stable_mut_ptr();
        let offset = self.offset;
        if let Some(index) = self.file.driver().registered_index(&self.buffer) {
            let read = |fd| opcode::ReadFixed::new(fd, start, length, index).offset(offset).build();
            return self.file.submission(read);
        }
        self.file.submission(|fd| opcode::Read::new(fd, start, length).offset(offset).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let result = completion.result().describe("read").map(|count| count as usize);
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes to the start of the buffer.
            unsafe { self.buffer.set_init(count) };
        }
        Step::Done(BufResult(result, self.buffer))
    }

    fn settle(self, _completion: Completion) {}
}
