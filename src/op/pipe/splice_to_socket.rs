//! Moving the contents of a pipe to a socket. Dropped in flight, a part has been sent; the rest is
//! dropped with the pipe.
//!
//! Only an inline call does it. A splice SQE has no flag by which it fails instead of waiting for
//! room in the socket, so it would keep a kernel worker for as long as the peer reads nothing.

use std::rc::Rc;
use std::{io, mem};

use crate::driver::Driver;
use crate::error::Describe;
use crate::op::operation::{Operation, Step};
use crate::op::socket::{SocketFd, StreamSocket};
use crate::sys::bypass::Bypass;
use crate::sys::poll::WRITABLE;
use crate::sys::splice_pipe::SplicePipe;
use crate::sys::{Completion, Submission, opcode};

/// Moves `length` bytes, by calls that never wait.
pub(crate) struct SpliceToSocket {
    socket: Rc<StreamSocket>,
    pipe: Rc<SplicePipe>,
    left: usize,
    /// Whether more is to follow.
    more: bool,
    /// Whether the next call must wait for the next turn of the loop.
    yields: bool,
}

impl SpliceToSocket {
    /// Sees to it that a socket can be spliced to: it has a descriptor of the process from now on.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the ring does not allow inline calls; and if a direct descriptor cannot
    /// be installed.
    pub(crate) fn prepare(socket: &StreamSocket) -> io::Result<()> {
        socket.fd_for(Bypass::Inline).map(drop)
    }

    /// The socket has been [prepared](Self::prepare).
    pub(crate) fn new(
        socket: &Rc<StreamSocket>,
        pipe: &Rc<SplicePipe>,
        length: usize,
        more: bool,
    ) -> Self {
        let (socket, pipe) = (Rc::clone(socket), Rc::clone(pipe));
        Self { socket, pipe, left: length, more, yields: false }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for SpliceToSocket {
    type Output = io::Result<()>;

    /// For when no more calls may be made in this turn: it completes in the next.
    fn submission(&mut self) -> Submission {
        self.yields = true;
        self.socket.submission(|fd| opcode::PollAdd::new(fd, WRITABLE).build())
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        true
    }

    fn try_inline(&mut self) -> Option<Completion> {
        Some(self.pipe.splice_to(self.socket.inline_fd()?, self.left, self.more))
    }

    fn sends_on(&self) -> Option<&SocketFd> {
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
