//! A payload that passes descriptors along with its first byte.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use super::payload::{One, Payload, SEND_FLAGS};
use super::stream::StreamSocket;
use crate::buf::IoBuf;
use crate::sys::nonblocking::send_fds;
use crate::sys::passed_fds::FdMessage;
use crate::sys::{Completion, Submission, opcode};

/// One buffer and descriptors. They are kept until all is sent, and given back.
pub(crate) struct WithFds<B, F> {
    buffer: One<B>,
    fds: Vec<F>,
    /// Whether the first byte, and so the descriptors, are with the peer.
    is_begun: bool,
    message: Box<FdMessage>,
}

impl<B: IoBuf, F: AsFd> WithFds<B, F> {
    pub(crate) fn new(buffer: B, fds: Vec<F>) -> Self {
        Self { buffer: One::new(buffer), fds, is_begun: false, message: FdMessage::new() }
    }

    fn prepare(&mut self) {
        let fds = if self.is_begun { &[] } else { &self.fds[..] };
        let fds = fds.iter().map(|fd| fd.as_fd().as_raw_fd());
        self.message.set_send(self.buffer.source(), self.buffer.step_length(), fds);
    }
}

// SAFETY: the SQE points to the message header, which lives in a box. It points to the control
// messages, which live in a vector, and to the buffer's memory, which does not move with it
// (`IoBuf`). Nothing here changes either before the completion.
unsafe impl<B: IoBuf, F: AsFd + 'static> Payload for WithFds<B, F> {
    type Buffers = (B, Vec<F>);

    const CALL: &'static str = "sendmsg";

    fn submission(&mut self, socket: &StreamSocket) -> Submission {
        self.prepare();
        let (message, flags) = (self.message.as_ptr(), SEND_FLAGS as u32);
        socket.submission(|fd| opcode::SendMsg::new(fd, message).flags(flags).build())
    }

    fn send(&mut self, fd: RawFd) -> Completion {
        self.prepare();
        // SAFETY: the segment is the buffer's.
        unsafe { send_fds(fd, &self.message) }
    }

    fn step_length(&self) -> usize {
        self.buffer.step_length()
    }

    fn advance(&mut self, count: usize) {
        self.is_begun |= count > 0;
        self.buffer.advance(count);
    }

    fn is_sent(&self) -> bool {
        self.buffer.is_sent()
    }

    fn into_buffers(self, socket: &StreamSocket) -> (B, Vec<F>) {
        (self.buffer.into_buffers(socket), self.fds)
    }
}
