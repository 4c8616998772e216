//! A socket with datagrams, of any family.
//!
//! Beside the [`SocketFd`] it is what dropped receives have left: whole datagrams with their
//! senders, and the error that the kernel reports once. There is at most one such datagram for each
//! receive that was in the kernel, and no receive is submitted while there is one; so they are few.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::headers::SpareHeaders;
use super::readiness::Readiness;
use crate::buf::{IoBufMut, Lease};
use crate::driver::{Driver, Orphan};
use crate::error::Describe;
use crate::op::descriptor::Descriptor;
use crate::op::drain::{DrainGates, Drains};
use crate::op::multishot::Multishot;
use crate::op::orphaned_fds::OrphanedFds;
use crate::op::socket::close::Closing;
use crate::op::socket::fd::SocketFd;
use crate::op::socket::open_count::OpenGuard;
use crate::sys::Completion;
use crate::sys::bypass::datagram::mark_messages;
use crate::sys::datagram::{Asks, Envelope, MultishotHeader};
use crate::sys::errno::is_undeliverable;
use crate::sys::passed_fds::accept_fds;
use crate::sys::poll::{READABLE, WRITABLE};

/// The family of a datagram socket's addresses; of Unix sockets, also their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    Unix,
    /// A Unix socket that is connected for good, so that its messages have an end.
    Seqpacket,
}

impl Family {
    /// What is asked of received datagrams. The control messages of Unix sockets are descriptors,
    /// for which there is a receive of its own, and credentials.
    pub(super) const fn asks(self) -> Asks {
        match self {
            Self::V4 | Self::V6 => Asks::All,
            Self::Unix => Asks::Address,
            Self::Seqpacket => Asks::Nothing,
        }
    }
}

/// A received datagram: as many of its bytes as were received, and the rest about it.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) bytes: Lease,
    pub(crate) envelope: Envelope,
}

/// A datagram socket.
pub(crate) struct DatagramSocket {
    socket: SocketFd,
    family: Family,
    /// What dropped receives have left, the oldest first.
    kept: RefCell<VecDeque<Arrived>>,
    /// The descriptors that came with the only kept message.
    pub(super) kept_fds: Cell<Option<OrphanedFds>>,
    /// Whether the peer has reset the connection.
    pub(super) is_reset: Cell<bool>,
    pub(super) counted: OnceCell<OpenGuard>,
    /// The error that a dropped operation has met, which the kernel does not report again; zero if
    /// there is none.
    error: Cell<i32>,
    pub(super) headers: SpareHeaders,
    pub(super) multishot: Multishot,
    pub(super) multishot_header: OnceCell<Box<MultishotHeader>>,
    pub(super) readable: Readiness,
    pub(super) writable: Readiness,
    inline: InlineGuess,
}

impl Deref for DatagramSocket {
    type Target = SocketFd;

    fn deref(&self) -> &SocketFd {
        &self.socket
    }
}

impl DatagramSocket {
    /// The descriptor is one of the process.
    pub(crate) fn new(
        driver: Rc<Driver>,
        descriptor: impl Into<Descriptor>,
        family: Family,
    ) -> Self {
        let socket = SocketFd::new(driver, descriptor);
        match (family, socket.descriptor().fd_if_open()) {
            // The kernel would close them on this thread, which can take as long as the peer likes.
            (Family::Unix, Some(fd)) => accept_fds(fd, false),
            (Family::Seqpacket, Some(fd)) => mark_messages(fd, true),
            _ => {}
        }
        Self {
            socket,
            family,
            kept: RefCell::default(),
            kept_fds: Cell::default(),
            is_reset: Cell::new(false),
            counted: OnceCell::new(),
            error: Cell::new(0),
            headers: SpareHeaders::with(family.asks()),
            multishot: Multishot::default(),
            multishot_header: OnceCell::new(),
            readable: Readiness::of(READABLE),
            writable: Readiness::of(WRITABLE),
            inline: InlineGuess::default(),
        }
    }

    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Waits until a receive into the caller's buffer may begin: no orphaned receive is in the
    /// kernel, and the multishot receive has ended and left what it had received.
    pub(crate) fn poll_receivable(&self, context: &Context<'_>) -> Poll<()> {
        if self.poll_reads_drained(context).is_pending() {
            return Poll::Pending;
        }
        self.poll_multishot_ended(context)
    }

    /// Keeps a datagram for the next receive.
    pub(super) fn keep(&self, arrived: Arrived) {
        self.kept.borrow_mut().push_back(arrived);
    }

    /// Whether a dropped receive has left a datagram.
    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.borrow().is_empty()
    }

    /// Takes the oldest datagram that dropped receives have left. Its descriptors are closed.
    pub(crate) fn take_kept(&self) -> Option<Arrived> {
        drop(self.kept_fds.take());
        self.kept.borrow_mut().pop_front()
    }

    /// A further lease of the oldest datagram that dropped receives have left.
    pub(super) fn peek_kept(&self) -> Option<Arrived> {
        self.kept.borrow().front().cloned()
    }

    /// Copies the oldest kept datagram into the buffer, as much as fits, and takes it unless it is
    /// only looked at.
    pub(crate) fn copy_kept(&self, buffer: &mut impl IoBufMut, takes: bool) -> Option<Envelope> {
        let arrived = if takes { self.take_kept() } else { self.peek_kept() };
        arrived.map(|Arrived { bytes, mut envelope }| {
            // Foreign code, so with nothing borrowed.
            envelope.received = buffer.fill_from(&bytes);
            envelope
        })
    }

    /// Keeps the error that a dropped receive has met, for the next operation.
    pub(super) fn keep_recv_error(&self, completion: Completion) {
        if self.note_reset(completion) {
            return;
        }
        if let Some(errno) = completion.errno().filter(|_| !completion.is_interrupted()) {
            self.error.set(errno);
        }
    }

    /// Keeps the error that a dropped send has met, if it tells of an earlier datagram.
    pub(super) fn keep_send_error(&self, completion: Completion) {
        self.note_reset(completion);
        let is_ip = matches!(self.family, Family::V4 | Family::V6);
        let is_of_earlier = |errno: &i32| is_ip && is_undeliverable(*errno);
        if let Some(errno) = completion.errno().filter(is_of_earlier) {
            self.error.set(errno);
        }
    }

    /// Whether a dropped operation has left an error.
    pub(super) fn has_error(&self) -> bool {
        self.error.get() != 0
    }

    /// Takes the error that a dropped operation has left.
    pub(crate) fn take_kept_error(&self) -> Option<i32> {
        let errno = self.error.replace(0);
        (errno != 0).then_some(errno)
    }

    /// The error that a dropped operation has left, described.
    pub(crate) fn take_error_of(&self, doing: &str) -> Option<io::Error> {
        let errno = self.take_kept_error()?;
        Err::<(), _>(io::Error::from_raw_os_error(errno)).describe(doing).err()
    }

    pub(super) fn inline(&self) -> &InlineGuess {
        &self.inline
    }

    /// Takes the socket apart, which no orphan uses: the descriptor, and what dropped receives have
    /// left.
    pub(crate) fn into_parts(mut self: Rc<Self>) -> io::Result<(OwnedFd, VecDeque<Arrived>)> {
        let (family, kept) = (self.family, self.kept.take());
        self.readable.stop(&self.socket);
        self.writable.stop(&self.socket);
        let fd = match Rc::get_mut(&mut self) {
            Some(this) => this.socket.take_fd()?,
            // A forgotten future holds the socket.
            None => self.fd()?.try_clone().describe("duplicate the socket")?,
        };
        match family {
            Family::Unix => accept_fds(&fd, true),
            Family::Seqpacket => mark_messages(&fd, false),
            Family::V4 | Family::V6 => {}
        }
        Ok((fd, kept))
    }
}

impl Drains for DatagramSocket {
    fn gates(&self) -> &DrainGates {
        self.socket.gates()
    }
}

impl Drop for DatagramSocket {
    /// The descriptor stays open until the kernel has completed the multishot receive.
    fn drop(&mut self) {
        self.readable.stop(&self.socket);
        self.writable.stop(&self.socket);
        if !self.multishot.is_started() {
            return;
        }
        let Some(closing) = self.socket.take_closing() else { return };
        let header = self.multishot_header.take();
        let driver = Rc::clone(self.socket.driver());
        self.multishot.orphan(&driver, || Box::new(OrphanedRecv { closing, _header: header }));
    }
}

/// A multishot receive whose socket is gone: what it receives is discarded.
struct OrphanedRecv {
    closing: Closing,
    /// The SQE points to it.
    _header: Option<Box<MultishotHeader>>,
}

impl Orphan for OrphanedRecv {
    fn settle(&mut self, completion: Completion) {
        if let Some(id) = completion.buffer() {
            drop(self.closing.driver().datagram_buffers().claim_datagram(id));
        }
    }
}

/// Guesses whether an inline receive finds a datagram. The kernel does not tell whether there are
/// more, as it does for streams: so it is tried, and less often each time that it fails.
#[derive(Default)]
pub(super) struct InlineGuess {
    /// How many receives are to be submitted without a try.
    skip: Cell<u8>,
    failed: Cell<u8>,
}

impl InlineGuess {
    const MOST: u8 = 63;

    /// Whether the next receive is to be tried inline.
    pub(super) fn is_due(&self) -> bool {
        let skip = self.skip.get();
        self.skip.set(skip.saturating_sub(1));
        skip == 0
    }

    pub(super) fn note(&self, found: bool) {
        let failed = if found { 0 } else { (self.failed.get() * 2 + 1).min(Self::MOST) };
        self.failed.set(failed);
        self.skip.set(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_receives_that_find_nothing_are_tried_ever_less_often() {
        let guess = InlineGuess::default();
        let mut tries = 0;
        for _ in 0..1000 {
            if guess.is_due() {
                guess.note(false);
                tries += 1;
            }
        }
        assert!((6..=24).contains(&tries), "{tries} tries");
        while !guess.is_due() {}
        guess.note(true);
        assert!(guess.is_due() && guess.is_due(), "one success suffices");
    }
}
