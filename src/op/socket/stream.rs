//! A connected socket with a stream of bytes, of any family.
//!
//! Beside the [`SocketFd`] it is what orphaned reads have left, how it is received from, and why it
//! has broken.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::ops::Deref;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use super::close::Closing;
use super::fd::SocketFd;
use super::open_count::OpenGuard;
use super::recv_strategy::RecvStrategy;
use super::transferred::Transferred;
use crate::buf::{IoBufMut, Lease};
use crate::driver::{Driver, Orphan};
use crate::error::{Describe, describe};
use crate::op::descriptor::Descriptor;
use crate::op::drain::{DrainGates, Drains};
use crate::op::multishot::Multishot;
use crate::op::orphaned_bytes::OrphanedBytes;
use crate::op::orphaned_fds::OrphanedFds;
use crate::sys::errno::{ENOBUFS, EPIPE, is_fatal_to_connection};
use crate::sys::message::MessageHeader;
use crate::sys::passed_fds::PassedFds;
use crate::sys::{Completion, Drained};
use crate::task::coop;

/// A stream socket. (`pub` in a private module, as the signatures of sealed traits name it.)
pub struct StreamSocket {
    socket: SocketFd,
    unread: RefCell<OrphanedBytes>,
    /// Descriptors that an orphaned read has received, for the read of the first unread byte. One
    /// that cannot return them closes them, as the kernel does.
    unread_fds: Cell<Option<Box<OrphanedFds>>>,
    /// Whether the last receive left bytes in the socket.
    pub(super) has_more: Cell<bool>,
    pub(super) strategy: Cell<RecvStrategy>,
    pub(super) multishot: Multishot,
    /// Whether the user has read with an owned buffer, so that multishot is not started any more.
    pub(super) reads_with_owned_buffers: Cell<bool>,
    /// Whether the kernel copies what it is to send without a copy.
    pub(super) copies_anyway: Cell<bool>,
    /// Why the connection has broken, once an operation has met it; zero before.
    pub(super) fatal: Cell<i32>,
    /// How many bytes have been received and sent.
    pub(super) transferred: Transferred,
    message: Cell<Option<Box<MessageHeader>>>,
    /// Bytes that a writer which is gone has left to be sent in the background.
    left: RefCell<Option<Weak<dyn LeftWrites>>>,
    /// Counts the connection among those of its listener, if they are counted.
    counted: OnceCell<OpenGuard>,
}

/// What a stream socket knows of its connection, and takes along to another runtime.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketState {
    /// Why the connection has broken; zero if it has not, as far as is known.
    pub(super) fatal: i32,
    /// Whether this end has closed or aborted the connection.
    pub(super) is_over: bool,
    pub(super) copies_anyway: bool,
}

/// Bytes that are sent without a writer.
pub(super) trait LeftWrites {
    /// Waits until the kernel has taken all of them, or sending has failed.
    fn poll_sent(&self, context: &Context<'_>) -> Poll<()>;
}

/// A stream socket is a socket: what holds of every socket is said there.
impl Deref for StreamSocket {
    type Target = SocketFd;

    fn deref(&self) -> &SocketFd {
        &self.socket
    }
}

impl StreamSocket {
    pub(crate) fn new(driver: Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        Self {
            socket: SocketFd::new(driver, descriptor),
            unread: RefCell::default(),
            unread_fds: Cell::default(),
            has_more: Cell::new(false),
            strategy: Cell::default(),
            multishot: Multishot::default(),
            reads_with_owned_buffers: Cell::new(false),
            copies_anyway: Cell::new(false),
            fatal: Cell::new(0),
            transferred: Transferred::default(),
            message: Cell::default(),
            left: RefCell::default(),
            counted: OnceCell::new(),
        }
    }

    /// The connection is counted until the socket is dropped.
    pub(crate) fn count_until_dropped(&self, guard: OpenGuard) {
        let _ = self.counted.set(guard);
    }

    /// The writer of these bytes is gone.
    pub(super) fn note_left(&self, left: Weak<dyn LeftWrites>) {
        drop(self.left.replace(Some(left)));
    }

    /// Waits until the kernel has taken what a writer has left behind to be sent. For one waiter.
    pub(crate) fn poll_left_sent(&self, context: &Context<'_>) -> Poll<()> {
        let left = self.left.borrow().as_ref().and_then(Weak::upgrade);
        left.map_or(Poll::Ready(()), |left| left.poll_sent(context))
    }

    /// Waits until no orphaned read is in the kernel. If they have left something, it is served
    /// without waiting: that takes from this task's budget.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        ready!(self.poll_reads_drained(context));
        if self.has_unread() { coop::poll_spend(context) } else { Poll::Ready(()) }
    }

    /// Remembers whether there is more after an inline receive, made just now on a descriptor. It
    /// has found nothing if it was not done.
    pub(super) fn note_inline_recv(
        &self,
        fd: RawFd,
        done: Option<Completion>,
    ) -> Option<Completion> {
        self.has_more.set(done.is_some_and(Completion::has_more));
        match done {
            None => self.driver().note_drained(fd, Drained::Blocked),
            Some(done) if !done.has_more() && done.errno().is_none() => {
                self.driver().note_drained(fd, Drained::Short);
            }
            Some(_) => {}
        }
        done
    }

    /// Learns from a lease receive of `count` bytes, which had room for `room`.
    pub(super) fn learn(&self, count: usize, room: usize) {
        self.strategy.set(self.strategy.get().after(count, room));
    }

    /// Whether a send is better done by an inline call: when the socket has bytes to read or
    /// receives bulk, so that what was received is in the cache; when an SQE would be alone in its
    /// enter; or when an SQE would be the same call, later, and this is an answer. (A task that
    /// only sends is not to keep the loop from the others.)
    pub(super) fn prefers_inline_sends(&self, driver: &Driver) -> bool {
        let is_call = || driver.makes_calls() && self.transferred.is_asked();
        let saves_nothing = || is_call() || driver.is_first_of_turn();
        self.is_in_cache() || saves_nothing() && self.descriptor().fd_if_open().is_some()
    }

    /// Whether what was received last is probably in the cache.
    pub(super) fn is_in_cache(&self) -> bool {
        self.has_more.get() || self.strategy.get().is_bulk()
    }

    /// Whether sending without a copy is worth trying.
    pub(crate) fn may_send_zero_copy(&self) -> bool {
        self.driver().capabilities().send_zero_copy && !self.copies_anyway.get()
    }

    /// The outcome of a receive: how many bytes, none at EOF. EOF of a connection that has broken
    /// is the reason for that, each time.
    pub(super) fn received(&self, completion: Completion, doing: &str) -> io::Result<usize> {
        let count = self.outcome(completion, doing)?;
        self.transferred.note_received(count);
        if count == 0 { self.fatal_error(doing).map_or(Ok(0), Err) } else { Ok(count) }
    }

    /// The outcome of a send: how many bytes. The kernel's "broken pipe" is the reason for that,
    /// where an operation has met it.
    #[inline]
    pub(in crate::op) fn sent(&self, completion: Completion, doing: &str) -> io::Result<usize> {
        let known = if completion.failed_with(EPIPE) { self.fatal_error(doing) } else { None };
        let count = known.map_or_else(|| self.outcome(completion, doing), Err)?;
        self.transferred.note_sent(count);
        Ok(count)
    }

    fn outcome(&self, completion: Completion, doing: &str) -> io::Result<usize> {
        if self.note_error(completion) {
            if let Some(error) = self.fatal_error(doing) {
                return Err(error);
            }
        }
        completion.result().describe(doing).map(|count| count as usize)
    }

    /// Remembers why the connection has broken, if that is what an operation met: the kernel
    /// reports it once, to whichever operation comes first, and to the next read it would look like
    /// EOF. The first reason stays. Returns whether it has broken.
    pub(super) fn note_error(&self, completion: Completion) -> bool {
        let errno = completion.errno().filter(|&errno| is_fatal_to_connection(errno));
        if let Some(errno) = errno.filter(|_| self.fatal.get() == 0) {
            self.fatal.set(errno);
        }
        errno.is_some()
    }

    /// Why the connection has broken, if an operation has met it.
    fn fatal_error(&self, doing: &str) -> Option<io::Error> {
        let errno = self.fatal.get();
        (errno != 0).then(|| Self::broken(doing, errno))
    }

    /// The error of a connection that has broken.
    pub(super) fn broken(doing: &str, errno: i32) -> io::Error {
        describe(doing, io::Error::from_raw_os_error(errno))
    }

    /// Keeps for the next read what an orphaned one has received: bytes, EOF, or the error, which
    /// the kernel would not report again. A cancelled or interrupted one has met none.
    pub(super) fn put_back(&self, bytes: &[u8], completion: Completion) {
        self.transferred.note_received(bytes.len());
        self.put_back_error(completion);
        let mut unread = self.unread.borrow_mut();
        unread.push(bytes);
        if matches!(completion.result(), Ok(0)) {
            unread.push_eof(self.fatal_error("recv"));
        }
    }

    /// Keeps the error that an orphaned read has met.
    pub(super) fn put_back_error(&self, completion: Completion) {
        self.note_error(completion);
        if let Some(errno) = completion.errno().filter(|_| !completion.is_interrupted()) {
            let error = describe("recv", io::Error::from_raw_os_error(errno));
            self.unread.borrow_mut().push_error(error);
        }
    }

    /// The bytes of a receive into a provided buffer: none if it failed.
    pub(super) fn claim_lease(&self, completion: Completion) -> Lease {
        let count = completion.result().map_or(0, |count| count as usize);
        let buffer = completion.buffer().map(|id| self.driver().buffers().claim_provided(id));
        // SAFETY: the receive has written `count` bytes to it.
        buffer.map_or_else(Lease::default, |buffer| unsafe { buffer.lend(count) })
    }

    /// Keeps for the next read what a receive into a provided buffer has received. That there was
    /// no buffer is not an error to be kept: the bytes are still in the socket.
    pub(super) fn put_back_provided(&self, completion: Completion) {
        let lease = self.claim_lease(completion);
        if !completion.failed_with(ENOBUFS) {
            self.put_back(&lease, completion);
        }
    }

    /// Whether orphaned reads have left something.
    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.borrow().is_empty()
    }

    /// How many bytes orphaned reads have left.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.unread.borrow().len()
    }

    /// Whether orphaned reads have left an error, behind what bytes there are.
    pub(crate) fn has_unread_error(&self) -> bool {
        self.unread.borrow().has_error()
    }

    /// See [`OrphanedBytes::take_eof`].
    pub(crate) fn take_unread_eof(&self) -> bool {
        self.unread.borrow_mut().take_eof()
    }

    /// See [`OrphanedBytes::take_error`].
    pub(crate) fn take_unread_error(&self) -> Option<io::Error> {
        self.unread.borrow_mut().take_error()
    }

    /// See [`OrphanedBytes::take_into`].
    pub(crate) fn take_unread(&self, buffer: &mut impl IoBufMut) -> usize {
        drop(self.unread_fds.take());
        self.unread.borrow_mut().take_into(buffer)
    }

    /// Takes the descriptors that came with the unread bytes, before the first of those is taken.
    /// What are more than `max` are closed.
    pub(crate) fn take_unread_fds(&self, max: usize) -> PassedFds {
        self.unread_fds.take().map_or_else(PassedFds::default, |fds| fds.into_passed(max))
    }

    /// Keeps the descriptors that came with the bytes that are about to be put back. There are no
    /// others: a receive of descriptors begins when there are no unread bytes.
    pub(super) fn put_back_fds(&self, fds: OrphanedFds) {
        debug_assert!(!self.has_unread(), "a receive of descriptors begins without unread bytes");
        self.unread_fds.set(Some(Box::new(fds)));
    }

    /// See [`OrphanedBytes::take_into_slice`].
    pub(super) fn take_unread_slice(&self, memory: &mut [u8]) -> usize {
        drop(self.unread_fds.take());
        self.unread.borrow_mut().take_into_slice(memory)
    }

    /// See [`OrphanedBytes::take_bytes`].
    pub(crate) fn take_all_unread(&self) -> Vec<u8> {
        drop(self.unread_fds.take());
        self.unread.borrow_mut().take_bytes()
    }

    /// See [`OrphanedBytes::copy_into`].
    pub(crate) fn peek_unread(&self, buffer: &mut impl IoBufMut) -> usize {
        self.unread.borrow().copy_into(buffer)
    }

    /// Puts back what a reader has received and not read, before all that orphaned reads have left,
    /// and what it knows to come behind: EOF or an error.
    pub(crate) fn put_front(&self, bytes: &[u8], is_open: io::Result<bool>) {
        let mut unread = self.unread.borrow_mut();
        unread.push_front(bytes);
        match is_open {
            Ok(true) => {}
            Ok(false) => unread.push_eof(None),
            Err(error) => unread.push_error(error),
        }
    }

    pub(super) fn take_orphaned_bytes(&self) -> OrphanedBytes {
        self.unread.take()
    }

    pub(super) fn state(&self) -> SocketState {
        SocketState {
            fatal: self.fatal.get(),
            is_over: self.is_over(),
            copies_anyway: self.copies_anyway.get(),
        }
    }

    /// Sets what another stream socket of the same connection knew of it.
    pub(super) fn restore(&self, state: SocketState, unread: OrphanedBytes) {
        let SocketState { fatal, is_over, copies_anyway } = state;
        self.fatal.set(fatal);
        self.set_over(is_over);
        self.copies_anyway.set(copies_anyway);
        self.unread.replace(unread);
    }

    /// The message header to use for a vectored send. It is returned with
    /// [`keep_message`](Self::keep_message).
    pub(super) fn message(&self) -> Box<MessageHeader> {
        self.message.take().unwrap_or_else(MessageHeader::new)
    }

    pub(super) fn keep_message(&self, mut message: Box<MessageHeader>) {
        message.shrink();
        self.message.set(Some(message));
    }

    /// Takes the descriptor out, or duplicates it if an operation still uses the socket.
    pub(crate) fn into_fd(self: Rc<Self>) -> io::Result<OwnedFd> {
        match Rc::try_unwrap(self) {
            Ok(mut stream) => stream.socket.take_fd(),
            Err(shared) => shared.fd()?.try_clone(),
        }
    }
}

impl Drains for StreamSocket {
    fn gates(&self) -> &DrainGates {
        self.socket.gates()
    }
}

impl Drop for StreamSocket {
    /// The descriptor stays open until the kernel has completed the multishot receive. The peer is
    /// told at once.
    fn drop(&mut self) {
        if !self.multishot.is_started() {
            return;
        }
        let Some(closing) = self.socket.take_closing() else { return };
        closing.announce();
        let driver = Rc::clone(self.driver());
        self.multishot.orphan(&driver, || Box::new(OrphanedRecv(closing)));
    }
}

/// A multishot receive whose socket is gone: what it receives is discarded.
struct OrphanedRecv(Closing);

impl Orphan for OrphanedRecv {
    fn settle(&mut self, completion: Completion) {
        if let Some(id) = completion.buffer() {
            drop(self.0.driver().buffers().claim_provided(id));
        }
    }
}
