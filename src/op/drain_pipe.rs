//! Moving what is in a pipe to a socket. Dropped in flight, a part has been sent; the rest goes with the
//! pipe.

use std::io;
use std::mem;
use std::rc::Rc;

use super::{Operation, Socket, Step};
use crate::driver::Driver;
use crate::error::Describe;
use crate::sys::poll::WRITABLE;
use crate::sys::splice_pipe::SplicePipe;
use crate::sys::{Completion, Submission, opcode};

/// Moves so many bytes, by calls that never wait.
pub(crate) struct DrainPipe {
    socket: Rc<Socket>,
    pipe: Rc<SplicePipe>,
    left: usize,
    /// Whether more is to follow.
    more: bool,
    /// Whether the next call must wait for a turn of the loop.
    yields: bool,
}

impl DrainPipe {
    /// The socket has a descriptor of the process.
    pub(crate) fn new(
        socket: &Rc<Socket>,
        pipe: &Rc<SplicePipe>,
        length: usize,
        more: bool,
    ) -> Self {
        let (socket, pipe) = (Rc::clone(socket), Rc::clone(pipe));
        Self { socket, pipe, left: length, more, yields: false }
    }
}

// SAFETY: the entry points to no memory.
unsafe impl Operation for DrainPipe {
    type Output = io::Result<()>;

    /// For when no more calls may be made in this turn: it comes back in the next.
    fn entry(&mut self) -> Submission {
        self.yields = true;
        self.socket.entry(|fd| opcode::PollAdd::new(fd, WRITABLE).build())
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        true
    }

    fn attempt(&mut self) -> Option<Completion> {
        Some(self.pipe.splice_to(self.socket.call_fd()?, self.left, self.more))
    }

    fn sends_on(&self) -> Option<&Socket> {
        Some(&self.socket)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if mem::take(&mut self.yields) {
            return match completion.result().describe("poll") {
                Ok(_) => Step::Again(self),
                Err(error) => Step::Done(Err(error)),
            };
        }
        match self.socket.sent(completion, "splice") {
            Ok(count) => self.left -= count,
            Err(error) => return Step::Done(Err(error)),
        }
        if self.left == 0 { Step::Done(Ok(())) } else { Step::Again(self) }
    }

    fn settle(self, _completion: Completion) {}
}
