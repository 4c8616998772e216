//! Sending and receiving at once or not at all, without a future.
//!
//! An attempt is an inline call with the caller's memory. It fails with `WouldBlock` where the
//! socket has no room or nothing to receive, and also where a future would wait for another reason:
//! orphaned operations come first, and inline calls may be spent for this turn or task. So attempts
//! in a loop end, and other tasks are polled.

use std::io;
use std::task::{Context, Poll, Waker};

use super::stream::StreamSocket;
use crate::buf::CallerMemory;
use crate::op::operation::sqe_length;
use crate::sys::errno::EAGAIN;
use crate::sys::nonblocking::send;
use crate::task::coop;

impl StreamSocket {
    /// Sends as much as the socket takes.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let driver = self.driver();
        let may = self.are_writes_drained() && driver.may_run_inline();
        let fd = if may { self.inline_fd() } else { None };
        let Some(fd) = fd.filter(|_| coop::try_spend()) else { return Err(would_block()) };
        // SAFETY: the bytes are those of a slice.
        let done = unsafe { send(fd, bytes.as_ptr(), sqe_length(bytes.len()) as usize) };
        driver.note_inline_call(done.result().unwrap_or(0) as usize);
        if done.failed_with(EAGAIN) {
            // For the limits of a server, which would take a full socket for an idle one.
            self.was_full.set(true);
            return Err(would_block());
        }
        self.sent(done, "send")
    }

    /// Receives available bytes, and returns how many: none at EOF.
    pub(crate) fn try_receive(&self, memory: &mut [u8]) -> io::Result<usize> {
        if memory.is_empty() {
            return Ok(0);
        }
        if !self.are_reads_drained() {
            return Err(would_block());
        }
        self.put_back_multishot();
        if let Some(error) = self.take_unread_error() {
            return Err(error);
        }
        if self.has_unread() {
            return if coop::try_spend() {
                Ok(self.take_unread_slice(memory))
            } else {
                Err(would_block())
            };
        }
        if self.multishot.is_started() {
            // It would receive what comes after.
            return Err(would_block());
        }
        self.receive_into(&mut CallerMemory::from(memory)).unwrap_or_else(|| Err(would_block()))
    }

    /// Moves what the multishot receive has received to the unread bytes. It goes on.
    fn put_back_multishot(&self) {
        // No future waits for it, as none can while there is an exclusive borrow of the stream.
        let context = Context::from_waker(Waker::noop());
        while self.multishot.is_started() {
            match self.multishot.poll_next(self.driver(), &context) {
                Poll::Ready(Some(completion)) => self.put_back_provided(completion),
                Poll::Ready(None) => self.multishot_ended(),
                Poll::Pending => return,
            }
        }
    }
}

/// Without a text, which would take an allocation for each attempt in vain.
fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
