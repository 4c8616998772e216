//! Sending on a stream socket, as much as it takes or all, from one buffer or several (`payload`).
//!
//! A send never waits in the kernel: where there is no room it waits for that first (`room`).
//!
//! Dropped in flight, a send may have sent a part. Nobody learns how much; the next send on the
//! socket waits for the end of the dropped one before it begins.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::ending::Leaving;
use super::payload::Payload;
use super::{Operation, Socket, Step};
use crate::buf::BufResult;
use crate::driver::Driver;
use crate::sys::{Completion, Submission};

/// Sends, and says how many bytes.
pub(crate) struct Sending<P> {
    socket: Rc<Socket>,
    payload: P,
    sent: usize,
    /// Whether it goes on until all is sent.
    sends_all: bool,
}

impl<P: Payload> Sending<P> {
    /// Sends as much as the socket takes, at least one byte.
    pub(crate) fn some(socket: &Rc<Socket>, payload: P) -> Self {
        Self { socket: Rc::clone(socket), payload, sent: 0, sends_all: false }
    }

    /// Sends all.
    pub(crate) fn all(socket: &Rc<Socket>, payload: P) -> Self {
        Self { socket: Rc::clone(socket), payload, sent: 0, sends_all: true }
    }
}

// SAFETY: the entries are the payload's, which keeps what they point to.
unsafe impl<P: Payload> Operation for Sending<P> {
    type Output = BufResult<usize, P::Given>;

    fn poll_before(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.socket.poll_writes_ended(context).map(|()| None)
    }

    fn entry(&mut self) -> Submission {
        self.payload.entry(&self.socket)
    }

    fn is_worth_attempting(&self, driver: &Driver) -> bool {
        self.socket.prefers_direct_sends(driver)
    }

    fn attempt(&mut self) -> Option<Completion> {
        let fd = self.socket.call_fd()?;
        Some(self.payload.send(fd))
    }

    fn sends_on(&self) -> Option<&Socket> {
        Some(&self.socket)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let count = match self.socket.sent(completion, P::DOING) {
            Ok(count) => count,
            Err(error) => {
                return Step::Done(BufResult(Err(error), self.payload.give_back(&self.socket)));
            }
        };
        let is_short = count < self.payload.asked();
        self.payload.advance(count);
        self.sent += count;
        if !self.sends_all || self.payload.is_sent() {
            Step::Done(BufResult(Ok(self.sent), self.payload.give_back(&self.socket)))
        } else if is_short {
            Step::NoRoom(self)
        } else {
            Step::Again(self)
        }
    }

    fn leaving(&self) -> Option<Leaving> {
        Some(Leaving::writing(&self.socket))
    }

    fn settle(self, completion: Completion) {
        self.socket.note_error(completion);
    }
}
