//! Reading from a file without offsets: a pipe, a terminal, a socket. Dropped in flight, what was
//! read goes to the file's unread bytes, in order, and so do an error and the end.

use std::rc::Rc;
use std::slice;

use super::fd::FileFd;
use crate::buf::{BufResult, IoBufMut};
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::{Completion, Submission, opcode};

/// The file's own position: what is read next.
const NO_OFFSET: u64 = u64::MAX;

/// Reads available bytes, at most the buffer's total; nothing at the end. The caller has waited for
/// orphaned reads and found nothing unread.
pub(crate) struct ReadStream<B> {
    file: Rc<FileFd>,
    buffer: B,
}

impl<B: IoBufMut> ReadStream<B> {
    pub(crate) fn new(file: &Rc<FileFd>, buffer: B) -> Self {
        Self { file: Rc::clone(file), buffer }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBufMut`), and
// nothing here touches it before the completion.
unsafe impl<B: IoBufMut> Operation for ReadStream<B> {
    type Output = BufResult<usize, B>;

    const MAY_BE_ON_DEVICE: bool = true;

    fn submission(&mut self) -> Submission {
        let length = sqe_length(self.buffer.bytes_total());
        let start = self.buffer.stable_mut_ptr();
        self.file.submission(|fd| opcode::Read::new(fd, start, length).offset(NO_OFFSET).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let result = completion.result().describe("read").map(|count| count as usize);
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes to the start of the buffer.
            unsafe { self.buffer.set_init(count) };
        }
        Step::Done(BufResult(result, self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.file))
    }

    /// The buffer is not told of the bytes: that is foreign code, and bytes must not be lost by its
    /// panic.
    fn settle(mut self, completion: Completion) {
        let count = completion.result().map_or(0, |count| count as usize);
        // SAFETY: the kernel has written `count` bytes to the start of the buffer.
        let bytes = unsafe { slice::from_raw_parts(self.buffer.stable_mut_ptr(), count) };
        self.file.put_back_outcome(bytes, completion);
    }
}
