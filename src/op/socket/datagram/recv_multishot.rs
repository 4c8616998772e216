//! Multishot receive of datagrams: one SQE delivers every datagram on a socket (Linux 6.0), each in
//! a provided buffer, behind its sender's address and control messages.
//!
//! It belongs to the socket and not to a future, so a datagram that arrives while no task receives
//! is simply the next to be taken. It ends:
//!
//! - when [`MAX_BUFFERED`] datagrams wait to be taken. With what the kernel had under way that is
//!   what a flood can make the process hold; the rest stays in the socket, and what has no room
//!   there the kernel drops. It is started again when all have been taken;
//! - with an error, such as `ECONNREFUSED` of a connected socket, and after a datagram without
//!   bytes. It is started again;
//! - when there was no provided buffer (`ENOBUFS`). The datagram is still in the socket. One buffer
//!   more is provided, or, where all are in use, memory is allocated for that datagram
//!   (`recv_lease`);
//! - at the end of a connection, which each receive meets again;
//! - when the user receives into an owned buffer: what it has received is kept for that;
//! - when the socket is dropped.

use std::io;
use std::task::{Context, Poll, ready};

use super::socket::{Arrived, DatagramSocket};
use crate::error::Describe;
use crate::op::check_loop::check_loop;
use crate::sys::datagram::MultishotHeader;
use crate::sys::errno::ENOBUFS;
use crate::sys::socket::MSG_TRUNC;
use crate::sys::{Completion, DATAGRAM_GROUP, opcode};

/// How many datagrams may wait to be taken before the operation is cancelled.
const MAX_BUFFERED: u32 = 256;

/// What a completion means to the receiver.
enum Taken {
    Arrived(io::Result<Arrived>),
    /// Only the end of the operation.
    End,
    /// All provided buffers are in use.
    NoBuffer,
}

impl DatagramSocket {
    pub(super) fn may_multishot(&self) -> bool {
        let driver = self.driver();
        driver.capabilities().multishot_recv && driver.datagram_buffers().has_datagrams()
    }

    /// The next datagram of the multishot receive, which is started if it is not in flight; `None`
    /// if the next must be received otherwise.
    pub(super) fn poll_multishot(
        &self,
        context: &Context<'_>,
    ) -> Poll<Option<io::Result<Arrived>>> {
        let driver = self.driver();
        while self.start_multishot() {
            let next = ready!(self.multishot.poll_next_within_budget(driver, context));
            match next.map(|completion| self.take_datagram(completion)) {
                Some(Taken::Arrived(arrived)) => return Poll::Ready(Some(arrived)),
                Some(Taken::NoBuffer) => return Poll::Ready(None),
                Some(Taken::End) | None => {}
            }
        }
        Poll::Ready(None)
    }

    /// Ends the multishot receive, and keeps what it has received.
    pub(super) fn poll_multishot_ended(&self, context: &Context<'_>) -> Poll<()> {
        let driver = self.driver();
        check_loop(driver);
        while self.multishot.is_started() {
            self.multishot.cancel(driver);
            if let Some(completion) = ready!(self.multishot.poll_next(driver, context)) {
                self.keep_multishot(completion);
            }
        }
        Poll::Ready(())
    }

    pub(super) fn keep_multishot(&self, completion: Completion) {
        match self.take_datagram(completion) {
            Taken::Arrived(Ok(arrived)) if self.is_end(&arrived.envelope) => {}
            Taken::Arrived(Ok(arrived)) => self.keep(arrived),
            Taken::Arrived(Err(_)) => self.keep_recv_error(completion),
            Taken::End | Taken::NoBuffer => {}
        }
    }

    /// Starts it unless it is in flight. Returns false if the driver is closed.
    fn start_multishot(&self) -> bool {
        if self.multishot.is_started() {
            return true;
        }
        let new_header = || MultishotHeader::new(self.family().asks());
        let header = self.multishot_header.get_or_init(new_header).as_ptr();
        let build = |fd| {
            let receive = opcode::RecvMsgMulti::new(fd, header, DATAGRAM_GROUP);
            receive.flags(MSG_TRUNC as u32).build()
        };
        let submission = self.submission(build);
        // SAFETY: the SQE points to the header, which lives in a box that the socket keeps, or the
        // orphan when the socket is gone, and which is not changed. The kernel selects buffers that
        // the driver has provided, and which nothing touches until they are returned
        // (`uring-sys-tests`, buffer_id_exclusive_until_returned).
        let is_started = unsafe { self.multishot.start(self.driver(), submission, MAX_BUFFERED) };
        if is_started {
            self.driver().counters().multishot_receives.increment();
        }
        is_started
    }

    fn take_datagram(&self, completion: Completion) -> Taken {
        let buffers = self.driver().datagram_buffers();
        // Claimed even if the receive failed: the kernel may have selected a buffer all the same.
        let buffer = completion.buffer().map(|id| buffers.claim_datagram(id));
        if completion.failed_with(ENOBUFS) {
            return if buffers.grow_datagrams() { Taken::End } else { Taken::NoBuffer };
        }
        if completion.is_interrupted() {
            return Taken::End;
        }
        let count = match completion.result().describe("recvmsg") {
            Ok(count) => count as usize,
            Err(_) if self.note_reset(completion) => return Taken::End,
            Err(error) => return Taken::Arrived(Err(error)),
        };
        let Some(buffer) = buffer else { return Taken::End };
        // SAFETY: the receive has filled the first `count` bytes, of which those that it left out
        // are zero or of an earlier one (`uring-sys-tests`, multishot_recvmsg_layout).
        let mut bytes = unsafe { buffer.lend(count) };
        let header = self.multishot_header.get().expect("it was started with a header");
        let Some((envelope, length)) = header.parse(&bytes) else { return Taken::End };
        bytes.advance(bytes.len() - length);
        Taken::Arrived(Ok(Arrived { bytes, envelope }))
    }
}
