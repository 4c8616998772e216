//! Receiving that goes on by itself (a multishot receive): one entry for all that a socket brings.
//!
//! It is the kind of [`standing`](super::standing) entry for sockets that bring little at a time. Beside
//! what ends those, it ends:
//!
//! - when the peer does, or with an error;
//! - when some messages have come that nobody has taken: so much, and what the kernel had under way, is
//!   what a peer can make the process hold; the rest stays in the socket, and TCP slows the peer down. It
//!   begins again when all has been taken;
//! - when there was no buffer. The bytes are still in the socket.

use std::io;
use std::task::{Context, Poll, ready};

use super::Socket;
use super::habit::Habit;
use super::recv::keep_error;
use crate::buf::Lease;
use crate::driver::Key;
use crate::error::describe;
use crate::sys::errno::{ENOBUFS, is_cancellation};
use crate::sys::{BUFFER_GROUP, Completion, Submission, opcode};
use crate::task::budget;

impl Socket {
    /// Whether the kernel can receive by itself.
    pub(super) fn can_flow_in(&self) -> bool {
        self.driver().capabilities().multishot_recv && self.driver().picks_leases()
    }

    pub(super) fn inflow_entry(&self) -> Submission {
        self.entry(|fd| opcode::RecvMulti::new(fd, BUFFER_GROUP).build())
    }

    /// The next that has come; `None` if the next must be looked for elsewhere, or once more.
    pub(super) fn poll_inflow(
        &self,
        key: Key,
        context: &Context<'_>,
    ) -> Poll<Option<io::Result<Lease>>> {
        if self.driver().has_next(key) {
            ready!(budget::poll_spend(context));
        }
        let next = ready!(self.driver().poll_next(key, context.waker()));
        let Some(completion) = next else {
            self.standing_ended();
            if !self.habit.get().is_much() {
                // What has ended it may do so again: it must be worth while once more.
                self.habit.set(Habit::default());
            }
            return Poll::Ready(None);
        };
        Poll::Ready(self.take_in(completion))
    }

    /// What a completion means to whoever receives: nothing, if it is only the end of the entry.
    fn take_in(&self, completion: Completion) -> Option<io::Result<Lease>> {
        let lease = self.lent(completion);
        self.has_more.set(completion.has_more());
        match completion.result() {
            Ok(count) => {
                self.learn(count as usize, self.driver().picked_bytes());
                if self.habit.get().is_much() {
                    self.stop_standing();
                }
                Some(Ok(lease))
            }
            Err(_) if completion.failed_with(ENOBUFS) => {
                self.driver().add_lease();
                None
            }
            Err(error) if is_cancellation(&error) => None,
            Err(error) => Some(Err(describe("recv", error))),
        }
    }

    /// What a completion has brought in a buffer that the kernel has picked: nothing if it failed.
    pub(super) fn lent(&self, completion: Completion) -> Lease {
        let count = completion.result().map_or(0, |count| count as usize);
        let taken = completion.buffer().map(|buffer| self.driver().reported_lease(buffer));
        // SAFETY: so many bytes have been received into it.
        taken.map_or_else(Lease::default, |taken| unsafe { taken.lend(count) })
    }

    /// Puts what such a completion has brought to the unread bytes, and the error that the next read would
    /// not hear of otherwise. Without a buffer there was none.
    pub(super) fn put_back_received(&self, completion: Completion) {
        if !completion.failed_with(ENOBUFS) {
            keep_error(self, completion);
        }
        self.put_back(&self.lent(completion));
    }
}
