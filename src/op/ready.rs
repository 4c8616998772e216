//! Waiting until a socket can be read from or written to.

use std::io;
use std::rc::Rc;

use super::{Operation, Socket, Step};
use crate::error::Describe;
use crate::sys::eventfd::{READABLE, WRITABLE};
use crate::sys::{Completion, Submission, opcode};

/// Completes when the socket is ready, or has failed or ended.
pub(crate) struct Ready {
    socket: Rc<Socket>,
    events: u32,
}

impl Ready {
    /// To be read from.
    pub(crate) fn readable(socket: &Rc<Socket>) -> Self {
        Self { socket: Rc::clone(socket), events: READABLE }
    }

    /// To be written to.
    pub(crate) fn writable(socket: &Rc<Socket>) -> Self {
        Self { socket: Rc::clone(socket), events: WRITABLE }
    }
}

// SAFETY: the entry points to no memory.
unsafe impl Operation for Ready {
    type Output = io::Result<()>;

    fn entry(&mut self) -> Submission {
        opcode::PollAdd::new(self.socket.entry_fd(), self.events).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(drop).describe("poll"))
    }

    fn settle(self, _completion: Completion) {}
}
