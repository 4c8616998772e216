//! Multishot receive: one SQE delivers every message on a socket, in provided buffers.
//!
//! It belongs to the socket and not to a future, so a message that arrives while no task receives
//! is simply the next to be taken. It is for sockets with small messages (`recv_strategy`). It
//! ends:
//!
//! - when the peer closes its direction, or with an error;
//! - when [`MAX_BUFFERED`] messages wait to be taken: that many, and what the kernel had under way,
//!   is what a peer can make the process hold; the rest stays in the socket, and TCP slows the peer
//!   down. It is started again when all have been taken;
//! - when a message exceeds the bulk threshold, so that later receives take another path;
//! - when there was no provided buffer (`ENOBUFS`). The bytes are still in the socket;
//! - when the user reads with an owned buffer: the messages that have come move to the unread
//!   bytes, and on this socket it is not started again;
//! - when the socket is dropped. The peer is told at once; the descriptor stays open until the
//!   kernel has completed the SQE.

use std::io;
use std::task::{Context, Poll, ready};

use super::recv_strategy::RecvStrategy;
use super::stream::StreamSocket;
use crate::buf::Lease;
use crate::op::check_loop::check_loop;
use crate::sys::errno::ENOBUFS;
use crate::sys::{BUFFER_GROUP, Completion, opcode};

/// How many messages may wait to be taken before the operation is cancelled.
const MAX_BUFFERED: u32 = 4;

impl StreamSocket {
    /// The next message of the multishot receive, which is started if it is due; `None` if the
    /// message must be received otherwise.
    pub(super) fn poll_multishot(&self, context: &Context<'_>) -> Poll<Option<io::Result<Lease>>> {
        let driver = self.driver();
        while self.receives_multishot() && self.start_multishot() {
            match ready!(self.multishot.poll_next_within_budget(driver, context)) {
                None => self.multishot_ended(),
                Some(completion) => {
                    if let Some(message) = self.take_message(completion) {
                        return Poll::Ready(Some(message));
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    /// Ends the multishot receive for good, and moves what it has received to the unread bytes.
    pub(crate) fn poll_multishot_ended(&self, context: &Context<'_>) -> Poll<()> {
        let driver = self.driver();
        check_loop(driver);
        self.reads_with_owned_buffers.set(true);
        while self.multishot.is_started() {
            self.multishot.cancel(driver);
            match ready!(self.multishot.poll_next(driver, context)) {
                None => self.multishot_ended(),
                Some(completion) => self.put_back_provided(completion),
            }
        }
        Poll::Ready(())
    }

    /// Starts it unless it is in flight. Returns false if the driver is closed.
    #[inline]
    fn start_multishot(&self) -> bool {
        if self.multishot.is_started() {
            return true;
        }
        let submission = self.submission(|fd| opcode::RecvMulti::new(fd, BUFFER_GROUP).build());
        // SAFETY: the SQE points to no memory: the kernel selects buffers that the driver has
        // provided, and which nothing touches until they are returned (`uring-sys-tests`,
        // buffer_id_exclusive_until_returned).
        let is_started = unsafe { self.multishot.start(self.driver(), submission, MAX_BUFFERED) };
        if is_started {
            self.driver().counters().multishot_receives.increment();
        }
        is_started
    }

    pub(super) fn multishot_ended(&self) {
        if !self.strategy.get().is_bulk() {
            // What has ended it may do so again: it must become worthwhile once more.
            self.strategy.set(RecvStrategy::default());
        }
    }

    /// What a completion means to the receiver: nothing, if it is only the end of the operation.
    fn take_message(&self, completion: Completion) -> Option<io::Result<Lease>> {
        let driver = self.driver();
        let lease = self.claim_lease(completion);
        self.has_more.set(completion.has_more());
        match self.received(completion, "recv") {
            Ok(count) => {
                self.learn(count, driver.buffers().provided_size());
                if self.strategy.get().is_bulk() {
                    self.multishot.cancel(driver);
                }
                Some(Ok(lease))
            }
            Err(_) if completion.failed_with(ENOBUFS) => {
                driver.buffers().grow_provided();
                None
            }
            Err(_) if completion.is_interrupted() => None,
            Err(error) => Some(Err(error)),
        }
    }
}
