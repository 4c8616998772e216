//! Receiving a datagram on lease: by the multishot receive (`recv_multishot`) where the kernel has
//! it, else by an inline call, into memory of the datagram's size, once a poll has reported one.
//!
//! There is no future here that owns anything: the multishot receive and the poll belong to the
//! socket. So nothing is lost when the caller does not poll again.

use std::io;
use std::task::{Context, Poll, ready};

use super::socket::{Arrived, DatagramSocket};
use crate::sys::bypass::datagram::next_length;
use crate::sys::nonblocking::available;
use crate::sys::socket::MSG_TRUNC;
use crate::task::coop;

impl DatagramSocket {
    /// Receives the next datagram on lease.
    pub(crate) fn poll_receive_lease(&self, context: &Context<'_>) -> Poll<io::Result<Arrived>> {
        ready!(self.poll_reads_drained(context));
        if self.has_error() || self.has_kept() {
            ready!(coop::poll_spend(context));
        }
        if let Some(error) = self.take_error_of("recvmsg") {
            return Poll::Ready(Err(error));
        }
        if let Some(arrived) = self.take_kept() {
            return Poll::Ready(Ok(arrived));
        }
        if self.may_multishot() {
            if let Some(arrived) = ready!(self.poll_multishot(context)) {
                return Poll::Ready(arrived);
            }
        }
        self.poll_attempt(
            context,
            || self.try_receive_lease(),
            |context| self.poll_readable(context),
        )
    }

    fn try_receive_lease(&self) -> io::Result<Arrived> {
        let fd = self.fd_for_attempt()?;
        let length = if self.has_end() { next_length(fd) } else { available(fd) };
        let mut memory = self.driver().datagram_buffers().datagram_heap_buffer(length);
        let (start, room) = memory.room();
        let mut header = self.headers.take_recv();
        // SAFETY: the memory is the buffer's, which has as many bytes.
        let done = unsafe { self.receive_inline(fd, &mut header, (start, room), MSG_TRUNC) };
        let received = self.attempted(done, "recvmsg").map(|length| {
            self.driver().counters().buffer_misses.increment();
            // SAFETY: the call has written as many bytes.
            let bytes = unsafe { memory.lend(length.min(room)) };
            Arrived { bytes, envelope: header.envelope(length) }
        });
        self.headers.keep_recv(header);
        received
    }
}
