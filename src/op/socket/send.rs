//! Sending on a stream socket, as much as it takes or all, from one buffer or several (`payload`).
//!
//! A send never waits in the kernel: where there is no room it waits for that first (`send_room`).
//!
//! Dropped in flight, a send may have sent a part; how much is not reported. The next send on the
//! socket waits for the end of the orphaned one before it begins.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::SocketFd;
use super::payload::Payload;
use super::stream::StreamSocket;
use crate::buf::BufResult;
use crate::driver::Driver;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step};
use crate::sys::{Completion, Submission};

/// The step after one that has not sent all. One that was short found the socket full: the next
/// waits for room.
pub(super) fn send_rest<O: Operation>(send: O, is_short: bool) -> Step<O> {
    if is_short { Step::NoRoom(send) } else { Step::Again(send) }
}

/// Sends, and returns how many bytes.
pub(crate) struct SendBytes<P> {
    socket: Rc<StreamSocket>,
    payload: P,
    sent: usize,
    /// Whether it goes on until all is sent.
    sends_all: bool,
}

impl<P: Payload> SendBytes<P> {
    /// Sends as much as the socket takes, at least one byte.
    pub(crate) fn some(socket: &Rc<StreamSocket>, payload: P) -> Self {
        Self { socket: Rc::clone(socket), payload, sent: 0, sends_all: false }
    }

    /// Sends all.
    pub(crate) fn all(socket: &Rc<StreamSocket>, payload: P) -> Self {
        Self { socket: Rc::clone(socket), payload, sent: 0, sends_all: true }
    }
}

// SAFETY: the SQEs are the payload's, which keeps what they point to.
unsafe impl<P: Payload> Operation for SendBytes<P> {
    type Output = BufResult<usize, P::Buffers>;

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.socket.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        self.payload.submission(&self.socket)
    }

    fn prefers_inline(&self, driver: &Driver) -> bool {
        self.socket.prefers_inline_sends(driver)
    }

    fn try_inline(&mut self) -> Option<Completion> {
        let fd = self.socket.inline_fd()?;
        Some(self.payload.send(fd))
    }

    fn sends_on(&self) -> Option<&SocketFd> {
        Some(&self.socket)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let count = match self.socket.sent(completion, P::CALL) {
            Ok(count) => count,
            Err(error) => {
                return Step::Done(BufResult(Err(error), self.payload.into_buffers(&self.socket)));
            }
        };
        let is_short = count < self.payload.step_length();
        self.payload.advance(count);
        self.sent += count;
        if !self.sends_all || self.payload.is_sent() {
            Step::Done(BufResult(Ok(self.sent), self.payload.into_buffers(&self.socket)))
        } else {
            send_rest(self, is_short)
        }
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::write(&self.socket))
    }

    fn settle(self, completion: Completion) {
        self.socket.note_error(completion);
    }
}
