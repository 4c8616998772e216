//! Waiting until a pipe is ready. Dropped, it has no effect: a poll takes no bytes.

use std::io;
use std::rc::Rc;

use super::end::PipeEnd;
use crate::error::Describe;
use crate::op::operation::{Operation, Step};
use crate::sys::poll::{READABLE, WRITABLE};
use crate::sys::{Completion, Submission, opcode};

/// Completes when what is waited for has been reported.
pub(crate) struct PipeReady {
    end: Rc<PipeEnd>,
    events: u32,
}

impl PipeReady {
    /// Waits for bytes, EOF or an error.
    pub(crate) fn to_read(end: &Rc<PipeEnd>) -> Self {
        Self { end: Rc::clone(end), events: READABLE }
    }

    /// Waits for room, or the end of all readers.
    pub(crate) fn to_write(end: &Rc<PipeEnd>) -> Self {
        Self { end: Rc::clone(end), events: WRITABLE }
    }

    /// Waits until the other end is closed, which is reported whatever is waited for.
    pub(crate) fn other_closed(end: &Rc<PipeEnd>) -> Self {
        Self { end: Rc::clone(end), events: 0 }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for PipeReady {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        opcode::PollAdd::new(self.end.sqe_fd(), self.events).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe("poll"))
    }

    fn settle(self, _completion: Completion) {}
}
