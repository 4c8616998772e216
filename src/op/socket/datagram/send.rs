//! Sending a datagram, to an address or to the socket's peer.
//!
//! A send never waits in the kernel: where there is no room it waits for that first (`send_room`).
//! The exception is a Unix socket that sends to an address whose receiver is full. No poll reports
//! when that has room, so a kernel worker waits with the send.
//!
//! Dropped in flight, the datagram is sent as a whole or not at all; which is not reported.

use std::rc::Rc;

use super::socket::{DatagramSocket, Family};
use crate::buf::{BufResult, IoBuf};
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::op::socket::fd::SocketFd;
use crate::op::socket::payload::SEND_FLAGS;
use crate::sys::address::RawAddress;
use crate::sys::bypass::datagram::send_datagram;
use crate::sys::control::SentControl;
use crate::sys::datagram::SendHeader;
use crate::sys::errno::EAGAIN;
use crate::sys::nonblocking::send;
use crate::sys::socket::MSG_NOSIGNAL;
use crate::sys::{Completion, Submission, SubmissionFlags, opcode};

/// Sends one datagram.
pub(crate) struct SendDatagram<B> {
    socket: Rc<DatagramSocket>,
    buffer: B,
    /// `None` if it goes to the peer and has no control messages.
    header: Option<Box<SendHeader>>,
    /// Whether it is to an address of a Unix socket.
    is_to_unix: bool,
    /// Whether a kernel worker waits with it.
    waits: bool,
}

impl<B: IoBuf> SendDatagram<B> {
    /// To an address, or to the peer.
    pub(crate) fn new(
        socket: &Rc<DatagramSocket>,
        buffer: B,
        address: Option<&RawAddress>,
        control: &SentControl,
    ) -> Self {
        let has_header = address.is_some() || !control.is_empty();
        let header = has_header.then(|| {
            let mut header = socket.headers.take_send();
            header.set(address, control, socket.family() == Family::V4);
            header
        });
        let is_to_unix = address.is_some() && socket.family() == Family::Unix;
        Self { socket: Rc::clone(socket), buffer, header, is_to_unix, waits: false }
    }

    fn bytes(&self) -> (*const u8, usize) {
        (self.buffer.stable_ptr(), sqe_length(self.buffer.bytes_init()) as usize)
    }

    fn doing(&self) -> &'static str {
        if self.header.is_some() { "sendmsg" } else { "send" }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBuf`), and to the
// header, which lives in a box. The kernel reads the header at submission (`uring-sys-tests`,
// sendmsg_header_read_at_submit), or later if a worker waits with it, and the bytes before the
// completion; nothing here changes either.
unsafe impl<B: IoBuf> Operation for SendDatagram<B> {
    type Output = BufResult<usize, B>;

    fn submission(&mut self) -> Submission {
        let bytes = self.bytes();
        let (flags, more) = if self.waits {
            (MSG_NOSIGNAL, SubmissionFlags::ASYNC)
        } else {
            (SEND_FLAGS, SubmissionFlags::empty())
        };
        let submission = match &mut self.header {
            Some(header) => {
                let message = header.prepare(bytes);
                let build = |fd| opcode::SendMsg::new(fd, message).flags(flags as u32).build();
                self.socket.submission(build)
            }
            None => {
                let build =
                    |fd| opcode::Send::new(fd, bytes.0, bytes.1 as u32).flags(flags).build();
                self.socket.submission(build)
            }
        };
        submission.flags(more)
    }

    fn prefers_inline(&self, driver: &Driver) -> bool {
        !self.waits && (driver.is_first_of_turn() || self.socket.has_error())
    }

    fn try_inline(&mut self) -> Option<Completion> {
        if let Some(errno) = self.socket.take_kept_error() {
            return Some(Completion::failed(errno));
        }
        let (fd, bytes) = (self.socket.inline_fd()?, self.bytes());
        Some(match &mut self.header {
            // SAFETY: the message is the header's, and the bytes are the buffer's.
            Some(header) => unsafe { send_datagram(fd, header.prepare(bytes)) },
            // SAFETY: as above.
            None => unsafe { send(fd, bytes.0, bytes.1) },
        })
    }

    fn sends_on(&self) -> Option<&SocketFd> {
        (!self.is_to_unix).then_some(&self.socket)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if completion.failed_with(EAGAIN) && self.is_to_unix && !self.waits {
            self.waits = true;
            return Step::Again(self);
        }
        let result = completion.result().describe(self.doing()).map(|count| count as usize);
        if let Some(header) = self.header.take() {
            self.socket.headers.keep_send(header);
        }
        Step::Done(BufResult(result, self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.socket))
    }

    fn settle(self, completion: Completion) {
        self.socket.keep_send_error(completion);
    }
}
