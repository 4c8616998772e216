//! What a socket with messages has if it is connected for good (`SOCK_SEQPACKET`): an end, and
//! descriptors that come with messages.
//!
//! A receive of no bytes is an empty message or the end of the connection. So each message is
//! marked by the kernel ([`mark_messages`]), and the end is not. Where the kernel does not do so,
//! the end is told by a poll: then an empty message that is the last is taken for it.
//!
//! A peer that closes with messages unread resets the connection. The kernel reports that once, and
//! before what it had sent; here it is remembered and takes the place of the end.
//!
//! [`mark_messages`]: crate::sys::bypass::datagram::mark_messages

use std::io;

use super::socket::{DatagramSocket, Family};
use crate::buf::IoBufMut;
use crate::error::Describe;
use crate::op::orphaned_fds::OrphanedFds;
use crate::op::socket::open_count::OpenGuard;
use crate::sys::Completion;
use crate::sys::bypass::datagram::has_ended;
use crate::sys::datagram::Envelope;
use crate::sys::errno::ECONNRESET;
use crate::sys::passed_fds::PassedFds;

impl DatagramSocket {
    pub(super) fn has_end(&self) -> bool {
        self.family() == Family::Seqpacket
    }

    /// Whether an operation has met the reset of the connection, which is remembered. A receive
    /// that has goes on: messages may be there.
    pub(super) fn note_reset(&self, completion: Completion) -> bool {
        let is_reset = self.has_end() && completion.failed_with(ECONNRESET);
        if is_reset {
            self.is_reset.set(true);
        }
        is_reset
    }

    /// Whether a receive has met the end of the connection, and no message.
    pub(super) fn is_end(&self, envelope: &Envelope) -> bool {
        let may_be = self.has_end() && envelope.length == 0 && !envelope.is_marked;
        may_be && self.fd().map_or(true, has_ended)
    }

    /// What a receive has met: a message, the end (`None`), or the reset of the connection.
    pub(crate) fn message(&self, envelope: Envelope, doing: &str) -> io::Result<Option<Envelope>> {
        if !self.is_end(&envelope) {
            return Ok(Some(envelope));
        }
        if self.is_reset.get() {
            return Err(io::Error::from_raw_os_error(ECONNRESET)).describe(doing);
        }
        Ok(None)
    }

    /// Keeps the descriptors of a message that is about to be kept. It is the only one: a receive
    /// with descriptors does not begin while a message is kept, and no other does before its end.
    pub(super) fn keep_fds(&self, passed: PassedFds) {
        if !passed.fds.is_empty() || passed.is_truncated {
            self.kept_fds.set(Some(OrphanedFds::new(self.driver(), passed)));
        }
    }

    /// Copies the oldest kept message into the buffer, as much as fits, and takes it with its first
    /// `max_fds` descriptors.
    pub(crate) fn copy_kept_with_fds(
        &self,
        buffer: &mut impl IoBufMut,
        max_fds: usize,
    ) -> Option<(Envelope, PassedFds)> {
        let passed = self.kept_fds.take().map(|fds| fds.into_passed(max_fds));
        let envelope = self.copy_kept(buffer, true)?;
        Some((envelope, passed.unwrap_or_default()))
    }

    /// Closes descriptors without making this thread wait.
    pub(crate) fn discard_fds(&self, passed: PassedFds) {
        drop(OrphanedFds::new(self.driver(), passed));
    }

    /// The connection is counted until the socket is dropped.
    pub(crate) fn count_until_dropped(&self, guard: OpenGuard) {
        let _ = self.counted.set(guard);
    }
}
