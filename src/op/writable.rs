//! Waiting until a socket takes more. Dropped in flight, it has no effect.

use std::io;
use std::rc::Rc;

use super::{Operation, Socket, Step};
use crate::error::Describe;
use crate::sys::readiness::WRITABLE;
use crate::sys::{Completion, Submission, opcode};

/// Completes when the socket takes more, or is broken.
pub(crate) struct Writable {
    socket: Rc<Socket>,
}

impl Writable {
    pub(crate) fn new(socket: &Rc<Socket>) -> Self {
        Self { socket: Rc::clone(socket) }
    }
}

// SAFETY: the entry points to no memory.
unsafe impl Operation for Writable {
    type Output = io::Result<()>;

    fn entry(&mut self) -> Submission {
        self.socket.entry(|fd| opcode::PollAdd::new(fd, WRITABLE).build())
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe("poll"))
    }

    fn settle(self, _completion: Completion) {}
}
