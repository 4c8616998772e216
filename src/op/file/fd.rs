//! A file: what all its operations share.
//!
//! Operations hold it while they are in flight, so its descriptor is closed, and its number used
//! again, only after the last one has completed.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::sync_queue::SyncQueue;
use crate::buf::IoBufMut;
use crate::driver::Driver;
use crate::error::{Describe, describe};
use crate::op::check_loop::check_loop;
use crate::op::descriptor::Descriptor;
use crate::op::drain::{DrainGate, DrainGates, Draining, Drains};
use crate::op::orphaned_bytes::OrphanedBytes;
use crate::sys::fs::O_DIRECT;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission};
use crate::task::LocalWaker;

/// A file. Dropped, it is closed.
pub(crate) struct FileFd {
    driver: Rc<Driver>,
    /// `None` only once it is taken out or dropped.
    descriptor: Option<Descriptor>,
    /// Whether an SQE has closed it.
    is_closed: Cell<bool>,
    gates: DrainGates,
    syncs: SyncQueue,
    /// Whether transfers go to the device and not to the page cache (`O_DIRECT`).
    is_direct: Cell<bool>,
    /// What dropped reads of a file without offsets have read.
    unread: RefCell<OrphanedBytes>,
    /// The tasks that wait for the end of orphans: several may use one file.
    waiting: RefCell<Vec<LocalWaker>>,
}

impl FileFd {
    pub(crate) fn new(driver: &Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        Self {
            driver: Rc::clone(driver),
            descriptor: Some(descriptor.into()),
            is_closed: Cell::new(false),
            gates: DrainGates::default(),
            syncs: SyncQueue::default(),
            is_direct: Cell::new(false),
            unread: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    #[inline]
    pub(crate) fn descriptor(&self) -> &Descriptor {
        self.descriptor.as_ref().expect("the descriptor is there until the file is dropped")
    }

    /// An SQE has closed the descriptor, which is used no more.
    pub(super) fn note_closed(&self) {
        self.is_closed.set(true);
    }

    /// It has been opened with these flags.
    pub(crate) fn note_flags(&self, flags: i32) {
        self.is_direct.set(flags & O_DIRECT != 0);
    }

    /// Whether transfers go to the device and not to the page cache, as far as is known.
    pub(super) fn feeds_device(&self) -> bool {
        self.is_direct.get()
    }

    /// The synchronisations in flight, and what waits for them.
    pub(super) fn syncs(&self) -> &SyncQueue {
        &self.syncs
    }

    /// The descriptor of the process, for system calls; see [`Descriptor::fd`].
    pub(crate) fn fd(&self) -> io::Result<&OwnedFd> {
        self.descriptor().fd()
    }

    /// Takes the descriptor out, or duplicates it if something else still uses the file.
    ///
    /// # Errors
    ///
    /// If the process has no more descriptors.
    pub(crate) fn into_fd(self: Rc<Self>) -> io::Result<OwnedFd> {
        match Rc::try_unwrap(self) {
            Ok(mut file) => file.descriptor.take().expect("only a drop takes it before").into_fd(),
            Err(shared) => shared.fd()?.try_clone().describe("duplicate the descriptor"),
        }
    }

    /// Makes an SQE that uses the file.
    #[inline]
    pub(in crate::op) fn submission(&self, build: impl FnOnce(Fd) -> Submission) -> Submission {
        self.descriptor().submission(build)
    }

    /// Has the next read return these bytes after those that are there already.
    pub(crate) fn put_back(&self, bytes: &[u8]) {
        self.unread.borrow_mut().push(bytes);
    }

    /// Has the next read return what an orphaned one has found: bytes, the end, or the error. A
    /// cancelled one has found nothing.
    pub(super) fn put_back_outcome(&self, bytes: &[u8], completion: Completion) {
        let mut unread = self.unread.borrow_mut();
        unread.push(bytes);
        match completion.result() {
            Ok(0) => unread.push_eof(None),
            Err(error) if !completion.is_interrupted() => {
                unread.push_error(describe("read", error));
            }
            _ => {}
        }
    }

    /// Whether there is something unread: bytes, the end, or an error.
    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.borrow().is_empty()
    }

    /// Whether the end or an error is behind the unread bytes.
    pub(crate) fn has_unread_end(&self) -> bool {
        self.unread.borrow().has_end()
    }

    /// How many bytes are unread.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.unread.borrow().len()
    }

    /// Moves unread bytes into a buffer; without any, takes the end, which is zero bytes, or the
    /// error.
    pub(crate) fn take_unread(&self, buffer: &mut impl IoBufMut) -> io::Result<usize> {
        let mut unread = self.unread.borrow_mut();
        unread.take_error().map_or_else(|| Ok(unread.take_into(buffer)), Err)
    }

    /// Waits until no orphaned read of a stream is in the kernel.
    pub(crate) fn poll_reads_drained(&self, context: &Context<'_>) -> Poll<()> {
        self.poll_drained(&self.gates.reads, context)
    }

    /// Waits until no orphaned write is in the kernel.
    #[inline]
    pub(crate) fn poll_writes_drained(&self, context: &Context<'_>) -> Poll<()> {
        self.poll_drained(&self.gates.writes, context)
    }

    #[inline]
    fn poll_drained(&self, gate: &DrainGate, context: &Context<'_>) -> Poll<()> {
        if gate.is_drained() { Poll::Ready(()) } else { self.wait_for(gate, context) }
    }

    #[cold]
    fn wait_for(&self, gate: &DrainGate, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        // Cloning a waker is foreign code, which may have completed the last orphan: look once
        // more.
        let waker = LocalWaker::new(context.waker());
        if gate.is_drained() {
            return Poll::Ready(());
        }
        if !self.waiting.borrow().iter().any(|present| present.will_wake(context.waker())) {
            self.waiting.borrow_mut().push(waker);
        }
        Poll::Pending
    }

    /// While what is returned lives, one more write of the file is an orphan.
    pub(crate) fn orphaned_write(self: &Rc<Self>) -> Draining {
        Draining::write(self)
    }
}

impl Drains for FileFd {
    fn gates(&self) -> &DrainGates {
        &self.gates
    }

    fn drained(&self) {
        for waker in self.waiting.take() {
            self.driver.report_panic(waker.wake_catching_panic());
        }
    }
}

impl Drop for FileFd {
    fn drop(&mut self) {
        let descriptor = self.descriptor.take();
        if self.is_closed.get() {
            descriptor.into_iter().for_each(Descriptor::forget);
        } else {
            drop(descriptor);
        }
        // A listener may wait for a descriptor.
        self.driver.note_close();
    }
}
