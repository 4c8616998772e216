//! Readiness that is reported again and again (an edge-triggered multishot poll): one entry for all that
//! a socket brings, which are received past the ring.
//!
//! It is the kind of [`standing`](super::standing) entry for sockets that bring much at a time. An edge is
//! reported once, when something comes. So as long as the last receive may have left something, the socket
//! is tried before it is waited for; and once it is known that the peer has ended or reset the connection,
//! of which no other edge may tell, always.

use std::io;
use std::task::{Context, Poll, ready};

use super::Socket;
use super::target::Target;
use crate::buf::Lease;
use crate::driver::Key;
use crate::error::describe;
use crate::sys::errno::is_cancellation;
use crate::sys::readiness::{ENDED, READABLE};
use crate::sys::{Completion, Submission, opcode};
use crate::task::budget;

impl Socket {
    pub(super) fn watch_entry(&self) -> Submission {
        self.entry(|fd| opcode::PollAdd::new(fd, READABLE | ENDED).multi(true).build())
    }

    /// The next that has come; `None` if the next must be looked for elsewhere, or once more.
    pub(super) fn poll_watch(
        &self,
        key: Key,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Lease>>> {
        if self.has_more.get() && !self.driver().is_closing() {
            ready!(self.poll_direct_turn(context));
            if let Some(outcome) = self.receive_now() {
                return Poll::Ready(Some(outcome));
            }
        }
        match ready!(self.driver().poll_next(key, context.waker())) {
            None => {
                self.standing_ended();
                Poll::Ready(None)
            }
            Some(completion) => Poll::Ready(self.take_readiness(completion)),
        }
    }

    /// Waits until something may be done past the ring: for the next turn, if enough has been done in
    /// this one.
    pub(crate) fn poll_direct_turn(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.driver().may_go_direct() {
            return budget::poll_spend(context);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn take_readiness(&self, completion: Completion) -> Option<io::Result<Lease>> {
        match completion.result() {
            Ok(events) => {
                self.has_more.set(true);
                self.has_ended.set(self.has_ended.get() || events & ENDED != 0);
                None
            }
            Err(error) if is_cancellation(&error) => None,
            Err(error) => Some(Err(describe("poll", error))),
        }
    }

    /// Receives what is there. `None` if there is nothing.
    fn receive_now(&self) -> Option<io::Result<Lease>> {
        let mut target = Target::new(self.driver());
        let received = target.receive(self)?;
        self.driver().note_direct(received.result().unwrap_or(0) as usize);
        let outcome = target.take(self, received);
        if !self.habit.get().is_much() {
            self.stop_standing();
        }
        Some(outcome)
    }
}
