//! Moving what is in a pipe to a socket. Dropped in flight, a part has been sent; the rest goes with the
//! pipe.

use std::io;
use std::mem;
use std::rc::Rc;

use super::{Operation, Socket, Step};
use crate::driver::Driver;
use crate::error::Describe;
use crate::sys::pipe::Pipe;
use crate::sys::readiness::WRITABLE;
use crate::sys::{Completion, Submission, opcode};

/// Moves so many bytes, by calls that never wait; the entry is for when the socket has no room.
pub(crate) struct DrainPipe {
    socket: Rc<Socket>,
    pipe: Rc<Pipe>,
    left: usize,
    /// Whether more is to follow.
    more: bool,
    awaits_room: bool,
}

impl DrainPipe {
    /// The socket has a descriptor of the process, and does not block.
    pub(crate) fn new(socket: &Rc<Socket>, pipe: &Rc<Pipe>, length: usize, more: bool) -> Self {
        let (socket, pipe) = (Rc::clone(socket), Rc::clone(pipe));
        Self { socket, pipe, left: length, more, awaits_room: false }
    }
}

// SAFETY: the entry points to no memory.
unsafe impl Operation for DrainPipe {
    type Output = io::Result<()>;

    fn entry(&mut self) -> Submission {
        self.awaits_room = true;
        self.socket.entry(|fd| opcode::PollAdd::new(fd, WRITABLE).build())
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        true
    }

    fn attempt(&mut self) -> Option<Completion> {
        self.pipe.splice_to(self.socket.call_fd()?, self.left, self.more)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let doing = if self.awaits_room { "poll" } else { "splice" };
        let count = match completion.result().describe(doing) {
            Ok(count) => count as usize,
            Err(error) => return Step::Done(Err(error)),
        };
        if mem::take(&mut self.awaits_room) {
            return Step::Again(self);
        }
        self.left -= count;
        if self.left == 0 { Step::Done(Ok(())) } else { Step::Again(self) }
    }

    fn settle(self, _completion: Completion) {}
}
