//! The queue between a writer and the background task that sends: bytes, state and wake-ups.
//!
//! [`State`] says what may still be written, and what became of the connection. The task is in
//! `connection_guard`.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use crate::error::again;
use crate::runtime::{UnsentGuard, UnsentWrites};
use crate::sync::Event;

/// Work on the writing half, done between two sends and in order with them.
pub(super) type Job<W> = Box<dyn for<'a> FnOnce(&'a mut W) -> LocalBoxFuture<'a, io::Result<()>>>;

/// Shared by a writer and its task.
pub(super) struct WriteQueue<W> {
    /// Writers wait while more bytes than this are unsent, until no more than a quarter of it are.
    limit: usize,
    bytes: RefCell<Vec<u8>>,
    /// While it exists, the end of the runtime waits for the queued bytes.
    queued: RefCell<Option<UnsentGuard>>,
    unsent_writes: RefCell<Rc<UnsentWrites>>,
    /// How many bytes are being sent.
    sending: Cell<usize>,
    /// A job that the task has not started.
    job: RefCell<Option<Job<W>>>,
    /// Whether a job is queued or running.
    has_job: Cell<bool>,
    /// Whether EOF is to be sent, before any other way of closing.
    wants_eof: Cell<bool>,
    state: RefCell<State>,
    /// Set when the task has something to do.
    work: Event,
    /// Set when bytes have been sent or a job has ended, and when the connection is released.
    progress: Event,
}

/// What may still be written, and what became of the connection.
#[derive(Debug)]
enum State {
    /// Bytes are accepted.
    Open,
    /// No more bytes are accepted. Those that are queued are still sent, except for an abort.
    Closing(CloseMode),
    /// The connection has been released.
    Gone(Fate),
}

/// How the connection is closed after the queued bytes. A later variant replaces an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CloseMode {
    /// Shut down the writing direction.
    Eof,
    /// Return the writing half to the writer.
    HandedOver,
    /// Drop the writing half, since the writer was dropped.
    Dropped,
    /// Close the connection in both directions.
    Closed,
    /// Abort the connection at once, without sending the queued bytes.
    Aborted,
}

/// How a connection was released.
#[derive(Debug)]
pub(super) enum Fate {
    /// All bytes had been sent.
    Ended,
    /// The writer called `abort`.
    Aborted,
    Failed(io::Error),
}

impl<W> WriteQueue<W> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: RefCell::default(),
            queued: RefCell::default(),
            unsent_writes: RefCell::default(),
            sending: Cell::default(),
            job: RefCell::default(),
            has_job: Cell::default(),
            wants_eof: Cell::default(),
            state: RefCell::new(State::Open),
            work: Event::new(),
            progress: Event::new(),
        }
    }

    /// How many bytes the connection has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.bytes.borrow().len() + self.sending.get()
    }

    /// Whether `more` bytes may be queued within the limit.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.unsent().saturating_add(more) <= self.limit
    }

    /// Whether so few bytes are unsent that writers need not wait any longer.
    pub(super) fn is_drained(&self) -> bool {
        self.unsent() <= self.limit / 4
    }

    /// Whether the connection has taken all bytes, and no job is left.
    pub(super) fn is_sent(&self) -> bool {
        self.unsent() == 0 && !self.has_job.get()
    }

    /// Whether bytes are accepted.
    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.state.borrow(), State::Open)
    }

    /// Whether the connection has been released, or will be once all bytes are sent.
    pub(super) fn is_closing(&self) -> bool {
        match &*self.state.borrow() {
            State::Open => false,
            State::Closing(mode) => *mode >= CloseMode::Dropped,
            State::Gone(_) => true,
        }
    }

    fn is_gone(&self) -> bool {
        matches!(&*self.state.borrow(), State::Gone(_))
    }

    /// What the task does once it has sent all bytes; `None` if it waits for more.
    pub(super) fn close_mode(&self) -> Option<CloseMode> {
        match &*self.state.borrow() {
            State::Closing(mode) => Some(*mode),
            State::Open | State::Gone(_) => None,
        }
    }

    /// Sets the runtime that the task belongs to.
    pub(super) fn set_unsent_writes(&self, unsent_writes: Rc<UnsentWrites>) {
        *self.unsent_writes.borrow_mut() = unsent_writes;
    }

    /// Has the end of the runtime wait until the task has taken and sent the queued bytes.
    fn note_queued(&self) {
        self.queued.borrow_mut().get_or_insert_with(|| self.unsent_writes.borrow().add());
    }

    /// Queues bytes. The memory grows by doubling, but not beyond the limit for bytes within it.
    pub(super) fn put(&self, bytes: &[u8]) {
        self.note_queued();
        let mut queued = self.bytes.borrow_mut();
        let needed = queued.len() + bytes.len();
        if queued.capacity() < needed && needed <= self.limit {
            let capacity = (2 * queued.capacity()).clamp(needed, self.limit);
            let more = capacity - queued.len();
            queued.reserve_exact(more);
        }
        queued.extend_from_slice(bytes);
        drop(queued);
        self.work.set();
    }

    /// Queues a job. All queued bytes must have been sent.
    pub(super) fn put_job(&self, job: Job<W>) {
        self.note_queued();
        self.has_job.set(true);
        let replaced = self.job.borrow_mut().replace(job);
        debug_assert!(replaced.is_none(), "a job is queued after the previous one has ended");
        self.work.set();
    }

    /// Closes the connection after the queued bytes. This cannot be undone.
    pub(super) fn close(&self, mode: CloseMode) {
        self.wants_eof.set(self.wants_eof.get() || mode == CloseMode::Eof);
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Open => *state = State::Closing(mode),
            State::Closing(present) => *present = mode.max(*present),
            State::Gone(_) => return,
        }
        drop(state);
        self.work.set();
    }

    /// Why bytes were lost, or may have been. The error is the same each time.
    pub(super) fn failure(&self) -> io::Result<()> {
        match &*self.state.borrow() {
            State::Open | State::Gone(Fate::Ended) => Ok(()),
            State::Closing(mode) if *mode < CloseMode::Aborted => Ok(()),
            State::Closing(_) | State::Gone(Fate::Aborted) => Err(aborted()),
            State::Gone(Fate::Failed(error)) => Err(again(error)),
        }
    }

    /// Like [`failure`](Self::failure), except for an abort, which the writer requested.
    pub(super) fn failure_to_close(&self) -> io::Result<()> {
        match &*self.state.borrow() {
            State::Gone(Fate::Failed(error)) => Err(again(error)),
            _ => Ok(()),
        }
    }

    /// Waits until `condition` holds, or the connection has been released.
    pub(super) async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        while !self.is_gone() && !condition(self) {
            self.progress.clear();
            self.progress.wait().await;
        }
    }

    /// Waits for something to do. Takes the queued bytes, and leaves `spare` to be filled.
    pub(super) async fn next(&self, spare: Vec<u8>) -> Next<W> {
        loop {
            if let Some(job) = self.job.take() {
                // Bytes may have been queued since, so `queued` stays.
                let unsent = self.unsent_writes.borrow().add();
                return Next::Job(job, spare, unsent);
            }
            if !self.bytes.borrow().is_empty() {
                let bytes = mem::replace(&mut *self.bytes.borrow_mut(), spare);
                self.sending.set(bytes.len());
                return Next::Bytes(bytes, self.queued.take());
            }
            drop(self.queued.take());
            if let Some(mode) = self.close_mode() {
                return Next::Close(mode);
            }
            self.work.clear();
            self.work.wait().await;
        }
    }

    /// Waits, after EOF has been sent, until the connection is to be closed.
    pub(super) async fn closed_after_eof(&self) -> CloseMode {
        loop {
            match self.close_mode() {
                Some(mode) if mode > CloseMode::Eof => return mode,
                _ => {}
            }
            self.work.clear();
            self.work.wait().await;
        }
    }

    /// Whether EOF is to be sent.
    pub(super) fn wants_eof(&self) -> bool {
        self.wants_eof.get()
    }

    pub(super) fn note_sent(&self) {
        self.sending.set(0);
        self.progress.set();
    }

    pub(super) fn note_job(&self) {
        self.has_job.set(false);
        self.progress.set();
    }

    /// Notes that nothing more will be sent, and why.
    pub(super) fn release(&self, fate: Fate) {
        self.bytes.take();
        drop(self.queued.take());
        *self.state.borrow_mut() = State::Gone(fate);
        // A job is foreign code: nothing is borrowed when it is dropped.
        let job = self.job.take();
        drop(job);
        self.has_job.set(false);
        self.note_sent();
    }
}

/// What the task does next. The end of the runtime waits until the `UnsentGuard` is dropped.
pub(super) enum Next<W> {
    /// Sends bytes.
    Bytes(Vec<u8>, Option<UnsentGuard>),
    /// Runs a job. Returns the spare buffer.
    Job(Job<W>, Vec<u8>, UnsentGuard),
    Close(CloseMode),
}

fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was aborted by its writer")
}
