//! What the operations on one stream socket share.
//!
//! Operations hold the socket while they are in flight, so its descriptor is closed, and its number
//! used again, only after the last one has ended. What dropped operations leave behind is kept here:
//! bytes, an error or the end of the stream that a dropped read met, and how many dropped ones are still
//! ending.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::close::Closing;
use super::ending::Ending;
use super::habit::Habit;
use super::inflow::Inflow;
use super::{Descriptor, check_loop};
use crate::buf::IoBufMut;
use crate::driver::Driver;
use crate::error::{Describe, describe};
use crate::sys::bypass::Bypass;
use crate::sys::errno::{EPIPE, is_fatal_to_connection};
use crate::sys::message::MessageHeader;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, socket};
use crate::task::coop;

/// How much memory an empty queue of unread bytes may keep.
const KEPT_CAPACITY: usize = 4096;

/// A connected socket.
pub(crate) struct Socket {
    driver: Rc<Driver>,
    /// `None` only while it is dropped.
    descriptor: Option<Descriptor>,
    lingers: Cell<bool>,
    /// Whether this end has closed or aborted the connection, so that readers come to their end.
    is_over: Cell<bool>,
    /// The peer's address, once it has been told or asked for.
    peer: Cell<Option<SocketAddr>>,
    unread: RefCell<Unread>,
    /// Whether the last receive left bytes in the socket.
    pub(super) has_more: Cell<bool>,
    /// How what it brings is best received on lease.
    pub(super) habit: Cell<Habit>,
    /// The receive that goes on by itself, if there is one.
    pub(super) inflow: Inflow,
    /// Whether the kernel copies what it sends whatever it is asked for.
    pub(super) copies_anyway: Cell<bool>,
    /// Whether a poll for room reports the peer's end, too, and so completes at once.
    pub(super) polls_report_more: Cell<bool>,
    /// Why the connection has broken, once an operation has heard of it; zero before.
    fatal: Cell<i32>,
    pub(super) reading: Ending,
    pub(super) writing: Ending,
    message: Cell<Option<Box<MessageHeader>>>,
}

/// What dropped reads have met and no read has returned.
#[derive(Default)]
struct Unread {
    bytes: VecDeque<u8>,
    /// An error that the kernel reports once: it comes behind the bytes.
    error: Option<io::Error>,
    /// Whether the end of the stream comes behind the bytes. The kernel would report it again, but to the
    /// next read alone: one that is polled once and dropped, time and again, would never see it.
    has_end: bool,
}

impl Socket {
    pub(crate) fn new(driver: Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        Self {
            driver,
            descriptor: Some(descriptor.into()),
            lingers: Cell::new(false),
            is_over: Cell::new(false),
            peer: Cell::new(None),
            unread: RefCell::default(),
            has_more: Cell::new(false),
            habit: Cell::default(),
            inflow: Inflow::default(),
            copies_anyway: Cell::new(false),
            polls_report_more: Cell::new(false),
            fatal: Cell::new(0),
            reading: Ending::default(),
            writing: Ending::default(),
            message: Cell::default(),
        }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        self.descriptor.as_ref().expect("the descriptor is there until the socket is dropped")
    }

    /// The descriptor of the process, for system calls; see [`Descriptor::fd`].
    pub(crate) fn fd(&self) -> io::Result<&OwnedFd> {
        self.fd_for(Bypass::Query)
    }

    /// The descriptor of the process, for system calls of a kind.
    ///
    /// # Errors
    ///
    /// As for [`Descriptor::fd`], and where the ring does not allow such calls.
    pub(super) fn fd_for(&self, bypass: Bypass) -> io::Result<&OwnedFd> {
        if !self.driver.allows(bypass) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.descriptor().fd()
    }

    /// This end's address and the peer's, as far as they can be told without making a descriptor.
    pub(crate) fn known_addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let Some(fd) = self.descriptor().fd_at_hand() else { return (None, None) };
        (socket::local_address(fd).ok(), socket::peer_address(fd).ok())
    }

    /// Makes an entry that uses the socket.
    pub(super) fn entry(&self, build: impl FnOnce(Fd) -> Submission) -> Submission {
        self.descriptor().entry(build)
    }

    /// The descriptor for transfers past the ring, if there is one or can be one. For those that are done
    /// again and again it is worth making.
    pub(super) fn call_fd(&self) -> Option<RawFd> {
        self.fd_for(Bypass::Inline).ok().map(AsRawFd::as_raw_fd)
    }

    /// Remembers that this end has closed or aborted the connection.
    pub(super) fn note_over(&self) {
        self.is_over.set(true);
    }

    /// Whether this end has closed or aborted the connection.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// This end's address.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::local_address(self.fd()?).describe("getsockname")
    }

    /// The peer's address, also when it is gone.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        if let Some(peer) = self.peer.get() {
            return Ok(peer);
        }
        let peer = socket::peer_address(self.fd()?).describe("getpeername")?;
        self.set_peer_addr(peer);
        Ok(peer)
    }

    /// Says what the peer's address is.
    pub(crate) fn set_peer_addr(&self, peer: SocketAddr) {
        self.peer.set(Some(peer));
    }

    /// Says whether a close may take time, because it waits for unsent bytes.
    pub(crate) fn set_lingers(&self, lingers: bool) {
        self.lingers.set(lingers);
    }

    /// Waits until no dropped read is still ending. Then, if they have left something, takes from this
    /// task's budget, as that is served without waiting.
    pub(crate) fn poll_reads_ended(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        ready!(self.reading.poll_ended(context));
        if self.has_unread() { coop::poll_spend(context) } else { Poll::Ready(()) }
    }

    /// Waits until no dropped write is still ending.
    pub(crate) fn poll_writes_ended(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        self.writing.poll_ended(context)
    }

    /// Takes note of whether there is more after an attempt to receive, which found nothing if it was not
    /// done.
    pub(super) fn note_attempt(&self, done: Option<Completion>) -> Option<Completion> {
        self.has_more.set(done.is_some_and(Completion::has_more));
        done
    }

    /// Learns from a receive of `count` bytes on lease, which had room for so many.
    pub(super) fn learn(&self, count: usize, room: usize) {
        self.habit.set(self.habit.get().after(count, room));
    }

    /// Whether a send is better done at once: when the socket has bytes to read or brings many, so that
    /// what was received is in the cache, or when an entry would be alone in its enter.
    pub(super) fn prefers_direct_sends(&self, driver: &Driver) -> bool {
        let is_in_cache = self.has_more.get() || self.habit.get().is_much();
        let is_alone = || driver.is_first_of_turn() && self.descriptor().fd_at_hand().is_some();
        is_in_cache || is_alone()
    }

    /// Whether sending without a copy is worth trying.
    pub(crate) fn may_send_without_copy(&self) -> bool {
        self.driver.capabilities().send_zero_copy && !self.copies_anyway.get()
    }

    /// The outcome of a receive: how many bytes, none at the end. The end of a connection that has
    /// broken is the reason for that, each time.
    pub(super) fn received(&self, completion: Completion, doing: &str) -> io::Result<usize> {
        let count = self.outcome(completion, doing)?;
        if count == 0 { self.fatal_error(doing).map_or(Ok(0), Err) } else { Ok(count) }
    }

    /// The outcome of a send: how many bytes. The kernel's "broken pipe" is the reason for that, where
    /// an operation has heard of it.
    #[inline]
    pub(super) fn sent(&self, completion: Completion, doing: &str) -> io::Result<usize> {
        let known = if completion.failed_with(EPIPE) { self.fatal_error(doing) } else { None };
        known.map_or_else(|| self.outcome(completion, doing), Err)
    }

    fn outcome(&self, completion: Completion, doing: &str) -> io::Result<usize> {
        self.note_error(completion);
        completion.result().describe(doing).map(|count| count as usize)
    }

    /// Remembers why the connection has broken, if that is what the operation met: the kernel tells it
    /// once, to whichever operation comes first, and the next read would look like an orderly end.
    pub(super) fn note_error(&self, completion: Completion) {
        if let Some(errno) = completion.errno().filter(|&errno| is_fatal_to_connection(errno)) {
            self.fatal.set(errno);
        }
    }

    /// Why the connection has broken, if an operation has heard of it.
    fn fatal_error(&self, doing: &str) -> Option<io::Error> {
        let errno = self.fatal.get();
        (errno != 0).then(|| describe(doing, io::Error::from_raw_os_error(errno)))
    }

    /// Keeps what a dropped read brought for the next one.
    pub(super) fn put_back(&self, bytes: &[u8]) {
        self.unread.borrow_mut().bytes.extend(bytes);
    }

    pub(super) fn put_back_error(&self, error: io::Error) {
        self.unread.borrow_mut().error = Some(error);
    }

    /// Keeps the end of the stream that a dropped read met, or the reason for it, for the next read.
    pub(super) fn put_back_end(&self) {
        let reason = self.fatal_error("recv");
        let mut unread = self.unread.borrow_mut();
        unread.has_end = reason.is_none();
        unread.error = reason.or(unread.error.take());
    }

    pub(crate) fn has_unread(&self) -> bool {
        let unread = self.unread.borrow();
        !unread.bytes.is_empty() || unread.error.is_some() || unread.has_end
    }

    /// Takes the end of the stream that a dropped read met, wherever it comes; says whether there was one.
    pub(crate) fn take_unread_end(&self) -> bool {
        std::mem::take(&mut self.unread.borrow_mut().has_end)
    }

    /// Whether an error is unread, behind what bytes there are.
    pub(crate) fn has_unread_error(&self) -> bool {
        self.unread.borrow().error.is_some()
    }

    /// The error that a dropped read brought, once all bytes before it have been read.
    pub(crate) fn take_unread_error(&self) -> Option<io::Error> {
        let mut unread = self.unread.borrow_mut();
        if unread.bytes.is_empty() { unread.error.take() } else { None }
    }

    /// Moves unread bytes into the buffer, and says how many: none takes the end of the stream, if that was
    /// met.
    pub(crate) fn take_unread(&self, buffer: &mut impl IoBufMut) -> usize {
        let mut unread = self.unread.borrow_mut();
        unread.has_end &= !unread.bytes.is_empty();
        let count = fill(buffer, &unread.bytes);
        unread.bytes.drain(..count);
        if unread.bytes.is_empty() && unread.bytes.capacity() > KEPT_CAPACITY {
            // An idle connection does not keep the memory of a large read.
            unread.bytes = VecDeque::new();
        }
        count
    }

    /// How many bytes are unread.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.unread.borrow().bytes.len()
    }

    /// Takes all unread bytes; without any, the end of the stream.
    pub(crate) fn take_all_unread(&self) -> Vec<u8> {
        let mut unread = self.unread.borrow_mut();
        unread.has_end &= !unread.bytes.is_empty();
        std::mem::take(&mut unread.bytes).into()
    }

    /// Copies unread bytes into the buffer, leaves them unread, and says how many.
    pub(crate) fn peek_unread(&self, buffer: &mut impl IoBufMut) -> usize {
        let unread = self.unread.borrow();
        fill(buffer, &unread.bytes)
    }

    /// All that is unread, for someone who takes the descriptor away.
    pub(crate) fn drain_unread(&self) -> (Vec<u8>, Option<io::Error>) {
        let Unread { bytes, error, .. } = self.unread.take();
        (bytes.into(), error.or_else(|| self.fatal_error("recv")))
    }

    /// The message header to use for a vectored send. It comes back with
    /// [`keep_message`](Self::keep_message).
    pub(super) fn message(&self) -> Box<MessageHeader> {
        self.message.take().unwrap_or_else(MessageHeader::new)
    }

    pub(super) fn keep_message(&self, mut message: Box<MessageHeader>) {
        message.shrink();
        self.message.set(Some(message));
    }

    /// Takes the descriptor out, if nobody else uses the socket.
    pub(crate) fn into_fd(self: Rc<Self>) -> io::Result<OwnedFd> {
        match Rc::try_unwrap(self) {
            Ok(mut socket) => socket.descriptor.take().expect("the descriptor is there").into_fd(),
            Err(shared) => shared.fd()?.try_clone(),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(descriptor) = self.descriptor.take() else { return };
        let closing = Closing::new(&self.driver, descriptor, self.lingers.get());
        self.inflow.abandon(closing);
    }
}

/// Copies bytes into the buffer, as far as they go or it has room, and says how many.
fn fill(buffer: &mut impl IoBufMut, bytes: &VecDeque<u8>) -> usize {
    let mut filled = 0;
    let (head, tail) = bytes.as_slices();
    for part in [head, tail] {
        let count = part.len().min(buffer.bytes_total() - filled);
        // SAFETY: `filled + count` is at most the buffer's total, and a unique buffer does not
        // overlap the queue.
        unsafe {
            let target = buffer.stable_mut_ptr().add(filled);
            target.copy_from_nonoverlapping(part.as_ptr(), count);
        }
        filled += count;
    }
    // SAFETY: so many bytes have been written here.
    unsafe { buffer.set_init(filled) };
    filled
}
