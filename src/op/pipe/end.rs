//! One end of a pipe, or what is used like one: a FIFO, a terminal, an inherited stream.
//!
//! Operations hold it while they are in flight, so its descriptor is closed, and its number used
//! again, only after the last one has completed.
//!
//! How it is read and written depends on what the kernel offers for it ([`Access`]). A read or
//! write never waits on a kernel worker if that can be avoided: a worker is a thread, and hundreds
//! of silent pipes would be hundreds of them. Whether the descriptor blocks is not changed, as
//! others may share it.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use crate::buf::IoBufMut;
use crate::driver::Driver;
use crate::error::{Describe, describe};
use crate::op::check_loop::check_loop;
use crate::op::drain::{DrainGates, Drains};
use crate::op::orphaned_bytes::OrphanedBytes;
use crate::sys::Completion;
use crate::sys::errno::{EAGAIN, EOPNOTSUPP};
use crate::sys::pipe::{self, Call, Kind, Waits};
use crate::sys::types::Fd;
use crate::task::coop;

/// How a descriptor is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The descriptor blocks, and whether the kernel reads and writes it without (`RWF_NOWAIT`) is
    /// not known yet: the first inline call tells.
    Unknown,
    /// The descriptor blocks, and the kernel reads and writes it without.
    NoWait,
    /// The open file is `O_NONBLOCK`: it was made so, or opened once more.
    NonBlocking,
    /// The descriptor blocks, and there is nothing else: what a poll has reported is read or
    /// written by a kernel worker.
    Worker,
    /// A socket, which has calls of its own.
    Socket,
    /// A file at its position, which a poll reports as always ready. A kernel worker may wait for
    /// its device.
    File,
}

/// What orphaned reads have left, of one end, or of the standard input, which all runtimes of the
/// process share.
enum Unread {
    Own(RefCell<OrphanedBytes>),
    OfStandardInput,
}

static STANDARD_INPUT: Mutex<OrphanedBytes> = Mutex::new(OrphanedBytes::new());

/// One end of a pipe. Dropped, it is closed.
pub(crate) struct PipeEnd {
    driver: Rc<Driver>,
    /// `None` only while it is dropped.
    fd: Option<OwnedFd>,
    kind: Kind,
    access: Cell<Access>,
    /// The same pipe or terminal opened once more, with a mode of its own.
    reopened: OnceCell<OwnedFd>,
    unread: Unread,
    /// Whether a read probably finds something, so that an inline call is worth it.
    pub(super) has_more: Cell<bool>,
    gates: DrainGates,
}

impl PipeEnd {
    /// An end that nothing else shares, and that was opened with `O_NONBLOCK`.
    pub(crate) fn nonblocking(driver: &Rc<Driver>, fd: OwnedFd) -> Self {
        Self::with(driver, fd, Kind::Pipe, Access::NonBlocking)
    }

    /// A descriptor of any kind that others may share: it stays as it is.
    ///
    /// # Errors
    ///
    /// The kernel's, of fstat(2).
    pub(crate) fn adopted(driver: &Rc<Driver>, fd: OwnedFd) -> io::Result<Self> {
        let kind = pipe::kind(fd.as_fd()).describe("fstat")?;
        let access = match kind {
            Kind::File => Access::File,
            Kind::Socket => Access::Socket,
            Kind::Pipe | Kind::Terminal | Kind::Device => Access::Unknown,
        };
        Ok(Self::with(driver, fd, kind, access))
    }

    /// [`adopted`](Self::adopted), of a duplicate of the standard input: what orphaned reads leave
    /// is for the next read of the process.
    ///
    /// # Errors
    ///
    /// As for [`adopted`](Self::adopted).
    pub(crate) fn standard_input(driver: &Rc<Driver>, fd: OwnedFd) -> io::Result<Self> {
        let mut end = Self::adopted(driver, fd)?;
        end.unread = Unread::OfStandardInput;
        Ok(end)
    }

    fn with(driver: &Rc<Driver>, fd: OwnedFd, kind: Kind, access: Access) -> Self {
        Self {
            driver: Rc::clone(driver),
            fd: Some(fd),
            kind,
            access: Cell::new(access),
            reopened: OnceCell::new(),
            unread: Unread::Own(RefCell::default()),
            has_more: Cell::new(access != Access::File),
            gates: DrainGates::default(),
        }
    }

    fn with_unread<T>(&self, f: impl FnOnce(&mut OrphanedBytes) -> T) -> T {
        match &self.unread {
            Unread::Own(unread) => f(&mut unread.borrow_mut()),
            Unread::OfStandardInput => {
                f(&mut STANDARD_INPUT.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The descriptor that it was made of.
    pub(crate) fn fd(&self) -> &OwnedFd {
        self.fd.as_ref().expect("the descriptor is there until the end is dropped")
    }

    /// The descriptor that is read and written.
    pub(super) fn used_fd(&self) -> RawFd {
        self.reopened.get().unwrap_or(self.fd()).as_raw_fd()
    }

    /// The same as an SQE carries it.
    pub(super) fn sqe_fd(&self) -> Fd {
        Fd(self.used_fd())
    }

    pub(super) fn access(&self) -> Access {
        self.access.get()
    }

    /// Makes an inline call on the descriptor. `None` if the call would have to wait, or if there
    /// is none that would not.
    pub(super) fn call(&self, make: impl Fn(RawFd, Call) -> Completion) -> Option<Completion> {
        loop {
            let call = match self.access.get() {
                Access::Worker | Access::File => return None,
                Access::NonBlocking => Call::NonBlocking,
                Access::Socket => Call::Socket,
                Access::Unknown | Access::NoWait => Call::NoWait,
            };
            let done = make(self.used_fd(), call);
            if done.failed_with(EOPNOTSUPP) && call == Call::NoWait {
                self.access.set(self.other_access());
                continue;
            }
            if self.access.get() == Access::Unknown {
                self.access.set(Access::NoWait);
            }
            return (!done.failed_with(EAGAIN)).then_some(done);
        }
    }

    /// How to read and write a file of which the kernel has no reads without waiting.
    fn other_access(&self) -> Access {
        let fd = self.fd().as_fd();
        if matches!(self.kind, Kind::Pipe | Kind::Terminal) {
            if let Ok(reopened) = pipe::reopen(fd) {
                let _ = self.reopened.set(reopened);
                return Access::NonBlocking;
            }
        }
        let is_nonblocking = pipe::waits(fd).is_ok_and(|waits| waits == Waits::No);
        if is_nonblocking { Access::NonBlocking } else { Access::Worker }
    }

    /// A read has found `count` bytes, and had room for `room`.
    pub(super) fn note_read(&self, count: usize, room: usize) {
        self.has_more.set(count == room && self.access.get() != Access::File);
    }

    /// Waits until no orphaned read is in the kernel. If they have left something, it is served
    /// without waiting: that takes from this task's budget.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        ready!(self.gates.reads.poll_drained(context));
        if self.has_unread() { coop::poll_spend(context) } else { Poll::Ready(()) }
    }

    /// Waits until no orphaned write is in the kernel.
    pub(crate) fn poll_writes_drained(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        self.gates.writes.poll_drained(context)
    }

    /// Whether no orphan is in the kernel: of reads, and of writes.
    pub(crate) fn are_drained(&self) -> (bool, bool) {
        (self.gates.reads.is_drained(), self.gates.writes.is_drained())
    }

    /// Whether orphaned reads have left something.
    pub(crate) fn has_unread(&self) -> bool {
        self.with_unread(|unread| !unread.is_empty())
    }

    /// What orphaned reads have left, as a read returns it: an error that is not behind bytes, or
    /// what `take` takes.
    fn take_unread<T>(&self, take: impl FnOnce(&mut OrphanedBytes) -> T) -> Option<io::Result<T>> {
        self.with_unread(|unread| match unread.take_error() {
            Some(error) => Some(Err(error)),
            None => (!unread.is_empty()).then(|| Ok(take(unread))),
        })
    }

    /// What orphaned reads have left, into a buffer.
    pub(crate) fn take_unread_into(&self, buffer: &mut impl IoBufMut) -> Option<io::Result<usize>> {
        self.take_unread(|unread| unread.take_into(buffer))
    }

    /// What orphaned reads have left, into memory that is only borrowed.
    pub(crate) fn take_unread_slice(&self, memory: &mut [u8]) -> Option<io::Result<usize>> {
        self.take_unread(|unread| unread.take_into_slice(memory))
    }

    /// All bytes that orphaned reads have left.
    pub(crate) fn take_all_unread(&self) -> Option<io::Result<Vec<u8>>> {
        self.take_unread(OrphanedBytes::take_bytes)
    }

    /// Keeps for the next read what an orphaned one has read: bytes, EOF (which a terminal reports
    /// once), or an error. A cancelled read, and one that found nothing, has met none.
    pub(super) fn put_back(&self, bytes: &[u8], completion: Completion) {
        self.with_unread(|unread| {
            unread.push(bytes);
            match completion.errno() {
                None if bytes.is_empty() => unread.push_eof(None),
                Some(errno) if errno != EAGAIN && !completion.is_interrupted() => {
                    unread.push_error(describe("read", io::Error::from_raw_os_error(errno)));
                }
                _ => {}
            }
        });
    }

    /// Puts back what was read, before all that is unread.
    pub(crate) fn put_front(&self, bytes: &[u8]) {
        self.with_unread(|unread| unread.push_front(bytes));
    }

    /// Takes the descriptor out, or duplicates it if an operation still uses it.
    pub(crate) fn into_fd(self: Rc<Self>) -> io::Result<OwnedFd> {
        match Rc::try_unwrap(self) {
            Ok(mut end) => Ok(end.fd.take().expect("the descriptor is there")),
            Err(shared) => shared.fd().try_clone(),
        }
    }
}

impl Drains for PipeEnd {
    fn gates(&self) -> &DrainGates {
        &self.gates
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        drop((self.fd.take(), self.reopened.take()));
        // A listener may wait for a descriptor.
        self.driver.note_close();
    }
}
