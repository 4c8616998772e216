//! What shows whether a connection makes progress, and its end if it does not.
//!
//! The counts cost each transfer an addition. To judge them is for others, who look now and then:
//! no operation reads a clock or sets a timer.

use std::net::Shutdown;

use super::stream::StreamSocket;
use crate::sys::bypass::Bypass;
use crate::sys::errno::ETIMEDOUT;
use crate::sys::socket;

impl StreamSocket {
    /// How many bytes have been received.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.transferred.received()
    }

    /// How many bytes the kernel has taken to be sent.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.transferred.sent()
    }

    /// How many of them the kernel still holds because the peer has not taken them. A direct
    /// descriptor is installed to learn it if a send lacks room; otherwise none is assumed.
    pub(crate) fn untaken_bytes(&self) -> u64 {
        let fd = if self.is_full.get() { self.fd().ok() } else { self.descriptor().fd_if_open() };
        let fd = fd.filter(|_| self.driver().allows(Bypass::Query));
        fd.map_or(0, socket::unacknowledged)
    }

    /// Whether a send waits for room, or has since the last call.
    pub(crate) fn take_fullness(&self) -> bool {
        self.was_full.take() | self.is_full.get()
    }

    /// Ends the connection in order because nothing has been transferred for too long: the peer
    /// receives EOF. Reads and writes fail with `ETIMEDOUT`.
    pub(crate) fn end_timed_out(&self) {
        self.fatal.set(ETIMEDOUT);
        self.end(Shutdown::Both);
    }

    /// Resets the connection because its peer does not take what is sent. Reads and writes fail
    /// with `ETIMEDOUT`.
    pub(crate) fn abort_timed_out(&self) {
        self.fatal.set(ETIMEDOUT);
        self.reset();
    }
}
