//! Sending a message to the peer of a Unix socket, and descriptors along with it.
//!
//! Dropped in flight, the message is sent as a whole, with its descriptors, or not at all.

use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use super::socket::DatagramSocket;
use crate::buf::{BufResult, IoBuf};
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::op::socket::fd::SocketFd;
use crate::op::socket::payload::SEND_FLAGS;
use crate::sys::nonblocking::send_fds;
use crate::sys::passed_fds::FdMessage;
use crate::sys::{Completion, Submission, opcode};

/// Sends one message with descriptors, which are given back.
pub(crate) struct SendDatagramFds<B, F> {
    socket: Rc<DatagramSocket>,
    buffer: B,
    fds: Vec<F>,
    message: Box<FdMessage>,
}

impl<B: IoBuf, F: AsFd> SendDatagramFds<B, F> {
    pub(crate) fn new(socket: &Rc<DatagramSocket>, buffer: B, fds: Vec<F>) -> Self {
        Self { socket: Rc::clone(socket), buffer, fds, message: FdMessage::new() }
    }

    fn prepare(&mut self) {
        let length = sqe_length(self.buffer.bytes_init()) as usize;
        let fds = self.fds.iter().map(|fd| fd.as_fd().as_raw_fd());
        self.message.set_send(self.buffer.stable_ptr(), length, fds);
    }
}

// SAFETY: the SQE points to the message header, which lives in a box. It points to the control
// messages, which live in a vector, and to the buffer's memory, which does not move with it
// (`IoBuf`). Nothing here changes either before the completion.
unsafe impl<B: IoBuf, F: AsFd + 'static> Operation for SendDatagramFds<B, F> {
    type Output = BufResult<usize, (B, Vec<F>)>;

    fn submission(&mut self) -> Submission {
        self.prepare();
        let (message, flags) = (self.message.as_ptr(), SEND_FLAGS as u32);
        self.socket.submission(|fd| opcode::SendMsg::new(fd, message).flags(flags).build())
    }

    /// As a message without descriptors.
    fn prefers_inline(&self, _driver: &Driver) -> bool {
        self.socket.are_writes_drained()
    }

    fn try_inline(&mut self) -> Option<Completion> {
        let fd = self.socket.inline_fd()?;
        self.prepare();
        // SAFETY: the segment is the buffer's.
        Some(unsafe { send_fds(fd, &self.message) })
    }

    fn sends_on(&self) -> Option<&SocketFd> {
        Some(&self.socket)
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        self.socket.note_reset(completion);
        let result = completion.result().describe("sendmsg").map(|count| count as usize);
        Step::Done(BufResult(result, (self.buffer, self.fds)))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.socket))
    }

    fn settle(self, completion: Completion) {
        self.socket.keep_send_error(completion);
    }
}
