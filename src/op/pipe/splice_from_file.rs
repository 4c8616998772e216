//! Moving pages of a file into a pipe: at once if they are in memory, else by a kernel worker,
//! since the file's device may take time. Dropped in flight, it has no effect: the pipe is dropped
//! with it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use crate::driver::Driver;
use crate::error::Describe;
use crate::op::operation::{Operation, Step};
use crate::sys::splice_pipe::SplicePipe;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Moves some bytes from an offset of the file on; none at its end. The pipe is empty.
pub(crate) struct SpliceFromFile {
    file: Rc<OwnedFd>,
    pipe: Rc<SplicePipe>,
    offset: u64,
    length: u32,
}

impl SpliceFromFile {
    pub(crate) fn new(file: &Rc<OwnedFd>, pipe: &Rc<SplicePipe>, offset: u64, length: u32) -> Self {
        Self { file: Rc::clone(file), pipe: Rc::clone(pipe), offset, length }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for SpliceFromFile {
    type Output = io::Result<usize>;

    fn submission(&mut self) -> Submission {
        let (file, pipe) = (Fd(self.file.as_raw_fd()), Fd(self.pipe.write_fd()));
        // No file has more bytes than that.
        let offset = i64::try_from(self.offset).unwrap_or(i64::MAX);
        opcode::Splice::new(file, offset, pipe, -1, self.length).build()
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        true
    }

    fn try_inline(&mut self) -> Option<Completion> {
        self.pipe.splice_from(self.file.as_raw_fd(), self.offset, self.length)
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().describe("read a file").map(|count| count as usize))
    }

    fn settle(self, _completion: Completion) {}
}
