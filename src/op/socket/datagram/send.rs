//! Sending a datagram, to an address or to the socket's peer.
//!
//! A send never waits in the kernel: where there is no room it waits for that first (`send_room`).
//! Left to wait, a datagram of a Unix socket would be tried again by the kernel after it has used
//! up the bytes, and be sent without any (`uring-sys-tests`,
//! a_unix_datagram_that_waits_in_the_kernel_may_be_sent_empty).
//!
//! No poll tells when a receiver that is named by its address has room. So a send to a Unix address
//! whose receiver is full is tried again after a pause.
//!
//! Dropped in flight, the datagram is sent as a whole or not at all; which is not reported.

use std::rc::Rc;
use std::time::Duration;

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
use crate::sys::errno::{EAGAIN, ECANCELED};
use crate::sys::nonblocking::send;
use crate::sys::types::Timespec;
use crate::sys::{Completion, Submission, opcode, timespec};

/// Sends one datagram.
pub(crate) struct SendDatagram<B> {
    socket: Rc<DatagramSocket>,
    buffer: B,
    /// `None` if it goes to the peer and has no control messages.
    header: Option<Box<SendHeader>>,
    /// Whether it is to an address of a Unix socket.
    is_to_unix: bool,
    /// The pause before the next try, once there has been one.
    pause: Option<Box<Pause>>,
}

/// A pause, as the kernel reads it.
struct Pause {
    length: Duration,
    timespec: Timespec,
    is_running: bool,
}

impl Pause {
    const SHORTEST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(50);

    /// The next one, which is longer.
    fn after(last: Option<Box<Self>>) -> Box<Self> {
        let length = last.map_or(Self::SHORTEST, |last| (last.length * 2).min(Self::LONGEST));
        Box::new(Self { length, timespec: timespec(length), is_running: true })
    }
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
        Self { socket: Rc::clone(socket), buffer, header, is_to_unix, pause: None }
    }

    fn bytes(&self) -> (*const u8, usize) {
        (self.buffer.stable_ptr(), sqe_length(self.buffer.bytes_init()) as usize)
    }

    fn doing(&self) -> &'static str {
        if self.header.is_some() { "sendmsg" } else { "send" }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBuf`), and to the
// header or the pause, which live in boxes. The kernel reads these at submission
// (`uring-sys-tests`, sendmsg_header_read_at_submit and timespec_read_at_submit), and the bytes
// before the completion; nothing here changes either.
unsafe impl<B: IoBuf> Operation for SendDatagram<B> {
    type Output = BufResult<usize, B>;

    fn submission(&mut self) -> Submission {
        let bytes = self.bytes();
        if let Some(pause) = self.pause.as_ref().filter(|pause| pause.is_running) {
            return opcode::Timeout::new(&raw const pause.timespec).build();
        }
        let flags = SEND_FLAGS;
        match &mut self.header {
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
        }
    }

    /// A task sends to many peers by one socket, one after the other: with an SQE for each it would
    /// wait for a turn each time. So a send is inline as long as the turn's budget lasts.
    ///
    /// It must not overtake a dropped send that is still to be submitted.
    fn prefers_inline(&self, _driver: &Driver) -> bool {
        let is_pausing = self.pause.as_ref().is_some_and(|pause| pause.is_running);
        !is_pausing && self.socket.are_writes_drained()
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
        if let Some(pause) = self.pause.as_mut().filter(|pause| pause.is_running) {
            pause.is_running = false;
            if !completion.failed_with(ECANCELED) {
                return Step::Again(self);
            }
        } else if completion.failed_with(EAGAIN) && self.is_to_unix {
            self.pause = Some(Pause::after(self.pause.take()));
            return Step::Again(self);
        }
        self.socket.note_reset(completion);
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
        // A pause of a Unix socket ends with no such error.
        self.socket.keep_send_error(completion);
    }
}
