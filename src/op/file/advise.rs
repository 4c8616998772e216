//! Telling the kernel how a file will be used. Dropped in flight, it may have been told or not,
//! which changes no contents.

use std::io;
use std::rc::Rc;

use super::fd::FileFd;
use crate::error::Describe;
use crate::op::operation::{Operation, Step};
use crate::sys::{Completion, Submission, opcode};

/// How many bytes one SQE carries: its field has 32 bits. A multiple of every page size.
const MAX_STEP: u64 = 1 << 31;

/// posix_fadvise(2), in several steps for a long range.
pub(crate) struct Advise {
    file: Rc<FileFd>,
    advice: i32,
    offset: u64,
    /// What is left; `None` up to the end of the file.
    length: Option<u64>,
}

impl Advise {
    pub(crate) fn new(file: &Rc<FileFd>, advice: i32, offset: u64, length: Option<u64>) -> Self {
        Self { file: Rc::clone(file), advice, offset, length }
    }

    /// How long the next step is. Zero means up to the end of the file.
    fn step(&self) -> u64 {
        self.length.map_or(0, |length| length.min(MAX_STEP))
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for Advise {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        let (step, advice, offset) = (self.step() as i64, self.advice, self.offset);
        self.file.submission(|fd| opcode::Fadvise::new(fd, step, advice).offset(offset).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let step = self.step();
        let rest = self.length.map_or(0, |length| length - step);
        match completion.result().describe("fadvise") {
            Ok(_) if rest > 0 => {
                self.offset += step;
                self.length = Some(rest);
                Step::Again(self)
            }
            result => Step::Done(result.map(drop)),
        }
    }

    fn settle(self, _completion: Completion) {}
}
