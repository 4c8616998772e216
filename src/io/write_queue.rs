//! The bytes that a writer has taken and the connection has not, and the task that sends them.
//!
//! The task owns the connection's writing half, so no future that is dropped can tear a send in two.
//! It takes all that is queued at once: what was written while it waited to be polled, or for the
//! send before, goes out together. Two buffers alternate, one being filled and one being sent.
//!
//! One [`State`] says what may still be written and what became of it. However the task ends, its
//! [`ConnectionGuard`] is dropped, and that decides the state: bytes that were taken and not sent, or a writer
//! that was still open, leave a failure that the writer reports from then on.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use super::AsyncWrite;
use crate::buf::BufResult;
use crate::error::again;
use crate::runtime::unsent::{UnsentGuard, UnsentWrites};
use crate::sync::Event;

/// How much memory an empty buffer may keep.
const KEPT_CAPACITY: usize = 4 * 1024;

/// Work on the writing half that is done between two sends, in order with them.
pub(super) type Job<W> = Box<dyn for<'a> FnOnce(&'a mut W) -> LocalBoxFuture<'a, io::Result<()>>>;

/// Shared by a writer and its task.
pub(super) struct WriteQueue<W> {
    bytes: RefCell<Vec<u8>>,
    /// Has the end of the runtime wait for what is queued.
    queued: RefCell<Option<UnsentGuard>>,
    unsent_writes: RefCell<Rc<UnsentWrites>>,
    /// Bytes that the connection has but has not taken.
    sending: Cell<usize>,
    /// A job that the task has not begun.
    job: RefCell<Option<Job<W>>>,
    /// Whether there is a job that has not ended.
    has_job: Cell<bool>,
    /// Whether the end of writing is asked for: it comes before any other end.
    wants_eof: Cell<bool>,
    state: RefCell<State>,
    /// There is something for the task to do.
    work: Event,
    /// Something has been taken, or nothing will be any more.
    progress: Event,
}

/// What may still be written, and what became of the connection.
#[derive(Debug)]
enum State {
    /// Bytes are taken.
    Open,
    /// No more bytes are taken. What is queued is still sent, unless it is an abort.
    Ending(CloseMode),
    /// The connection has been released.
    Gone(Fate),
}

/// What comes after all that is queued. A later one replaces an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CloseMode {
    /// The end of writing.
    Eof,
    /// The writing half goes to the writer, which is being taken apart.
    Handed,
    /// The writing half is dropped, as the writer was.
    Dropped,
    /// The connection is ended in both directions.
    Closed,
    /// The connection is broken at once.
    Aborted,
}

/// How a connection was released.
#[derive(Debug)]
enum Fate {
    /// After all had been sent.
    Ended,
    /// By the writer's own `abort`.
    Aborted,
    Failed(io::Error),
}

impl<W> Default for WriteQueue<W> {
    fn default() -> Self {
        Self {
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
}

impl<W> WriteQueue<W> {
    /// How many bytes the connection has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.bytes.borrow().len() + self.sending.get()
    }

    /// Whether so many more bytes may be queued where no more than `high` are to be unsent.
    pub(super) fn has_room(&self, more: usize, high: usize) -> bool {
        self.unsent().saturating_add(more) <= high
    }

    /// Whether the connection has taken all, and no job is left.
    pub(super) fn is_sent(&self) -> bool {
        self.unsent() == 0 && !self.has_job.get()
    }

    /// Whether bytes are taken.
    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.state.borrow(), State::Open)
    }

    /// Whether the connection has been released, or will be once all is sent.
    pub(super) fn is_closing(&self) -> bool {
        match &*self.state.borrow() {
            State::Open => false,
            State::Ending(end) => *end >= CloseMode::Dropped,
            State::Gone(_) => true,
        }
    }

    fn is_gone(&self) -> bool {
        matches!(&*self.state.borrow(), State::Gone(_))
    }

    /// What the task does once it has sent all; `None` if it waits for more.
    fn end(&self) -> Option<CloseMode> {
        match &*self.state.borrow() {
            State::Ending(end) => Some(*end),
            State::Open | State::Gone(_) => None,
        }
    }

    /// Says in which runtime the task is.
    pub(super) fn set_unsent_writes(&self, unsent_writes: Rc<UnsentWrites>) {
        *self.unsent_writes.borrow_mut() = unsent_writes;
    }

    /// Has the end of the runtime wait until the task has taken what is queued, and sent it.
    fn note_queued(&self) {
        self.queued.borrow_mut().get_or_insert_with(|| self.unsent_writes.borrow().add());
    }

    /// Queues bytes. The memory grows by doubling, but not beyond `limit` for what is within it.
    pub(super) fn put(&self, bytes: &[u8], limit: usize) {
        self.note_queued();
        let mut queue = self.bytes.borrow_mut();
        let needed = queue.len() + bytes.len();
        if queue.capacity() < needed && needed <= limit {
            let capacity = (2 * queue.capacity()).clamp(needed, limit);
            let more = capacity - queue.len();
            queue.reserve_exact(more);
        }
        queue.extend_from_slice(bytes);
        drop(queue);
        self.work.set();
    }

    /// Has the task do a job. All that was queued must have been sent.
    pub(super) fn put_job(&self, job: Job<W>) {
        self.note_queued();
        self.has_job.set(true);
        let replaced = self.job.borrow_mut().replace(job);
        debug_assert!(replaced.is_none(), "a job begins after the one before has ended");
        self.work.set();
    }

    /// Says what comes after what is queued. It cannot be taken back.
    pub(super) fn finish(&self, end: CloseMode) {
        self.wants_eof.set(self.wants_eof.get() || end == CloseMode::Eof);
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Open => *state = State::Ending(end),
            State::Ending(present) => *present = end.max(*present),
            State::Gone(_) => return,
        }
        drop(state);
        self.work.set();
    }

    /// Why bytes were lost, or may have been: the same error each time.
    pub(super) fn failure(&self) -> io::Result<()> {
        match &*self.state.borrow() {
            State::Open | State::Gone(Fate::Ended) => Ok(()),
            State::Ending(end) if *end < CloseMode::Aborted => Ok(()),
            State::Ending(_) | State::Gone(Fate::Aborted) => Err(aborted()),
            State::Gone(Fate::Failed(error)) => Err(again(error)),
        }
    }

    /// [`failure`](Self::failure), but for an abort, which the writer asked for.
    pub(super) fn failure_to_close(&self) -> io::Result<()> {
        match &*self.state.borrow() {
            State::Gone(Fate::Failed(error)) => Err(again(error)),
            _ => Ok(()),
        }
    }

    /// Waits until the task has come so far that `holds`, or the connection has been released.
    pub(super) async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        while !self.is_gone() && !holds(self) {
            self.progress.clear();
            self.progress.wait().await;
        }
    }

    /// Waits for what to do next, and leaves `spare` to be filled.
    async fn next(&self, spare: Vec<u8>) -> Next<W> {
        loop {
            if let Some(job) = self.job.take() {
                // What has been queued since is still to be taken.
                let unsent = self.unsent_writes.borrow().add();
                return Next::Job(job, spare, unsent);
            }
            if !self.bytes.borrow().is_empty() {
                let bytes = mem::replace(&mut *self.bytes.borrow_mut(), spare);
                self.sending.set(bytes.len());
                return Next::Bytes(bytes, self.queued.take());
            }
            drop(self.queued.take());
            if let Some(end) = self.end() {
                return Next::End(end);
            }
            self.work.clear();
            self.work.wait().await;
        }
    }

    /// Waits until more than the end of writing is asked for.
    async fn past_eof(&self) -> CloseMode {
        loop {
            match self.end() {
                Some(end) if end > CloseMode::Eof => return end,
                _ => {}
            }
            self.work.clear();
            self.work.wait().await;
        }
    }

    fn note_sent(&self) {
        self.sending.set(0);
        self.progress.set();
    }

    fn note_job(&self) {
        self.has_job.set(false);
        self.progress.set();
    }

    /// Nothing is sent any more.
    fn release(&self, fate: Fate) {
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

/// What the task does next.
enum Next<W> {
    /// Until what comes with them is dropped, the end of the runtime waits.
    Bytes(Vec<u8>, Option<UnsentGuard>),
    Job(Job<W>, Vec<u8>, UnsentGuard),
    End(CloseMode),
}

/// The connection in the hands of the task. However that ends, also before it began, the writer
/// hears of it.
pub(super) struct ConnectionGuard<W: AsyncWrite> {
    /// `None` once it has been handed out.
    writes_to: Option<W>,
    queue: Rc<WriteQueue<W>>,
    /// What became of the sending; `None` if the task did not come to its end.
    outcome: Option<io::Result<()>>,
}

impl<W: AsyncWrite> ConnectionGuard<W> {
    pub(super) fn new(queue: &Rc<WriteQueue<W>>, writes_to: W) -> Self {
        Self { writes_to: Some(writes_to), queue: Rc::clone(queue), outcome: None }
    }

    /// Ends a connection to which nothing has been written.
    pub(super) fn end(mut self) {
        self.outcome = Some(Ok(()));
    }

    /// Hands out the writing half of a connection to which nothing has been written.
    pub(super) fn hand_out(mut self) -> Option<W> {
        self.outcome = Some(Ok(()));
        self.writes_to.take()
    }

    /// Sends what is queued until the end. Gives the writing half to a writer that is taken apart.
    pub(super) async fn send_all(mut self) -> Option<W> {
        let writes_to = self.writes_to.as_mut().expect("it is handed out at the end");
        let ended = send_to_end(&self.queue, writes_to).await;
        let is_handed = matches!(ended, Ok(CloseMode::Handed));
        self.outcome = Some(ended.map(drop));
        if is_handed { self.writes_to.take() } else { None }
    }
}

impl<W: AsyncWrite> Drop for ConnectionGuard<W> {
    fn drop(&mut self) {
        let end = self.queue.end();
        let fate = match self.outcome.take() {
            _ if end == Some(CloseMode::Aborted) => Fate::Aborted,
            Some(Ok(())) => Fate::Ended,
            Some(Err(error)) => Fate::Failed(error),
            None => Fate::Failed(torn()),
        };
        let ended = matches!(fate, Fate::Ended);
        // Before foreign code runs, which may panic.
        self.queue.release(fate);
        match (&mut self.writes_to, end) {
            (Some(writes_to), Some(CloseMode::Aborted)) => writes_to.abort(),
            (Some(writes_to), Some(CloseMode::Closed)) if ended => writes_to.close(),
            _ => {}
        }
    }
}

async fn send_to_end<W: AsyncWrite>(
    queue: &WriteQueue<W>,
    writes_to: &mut W,
) -> io::Result<CloseMode> {
    let mut spare = Vec::new();
    loop {
        match queue.next(spare).await {
            Next::Bytes(bytes, _unsent) => {
                let BufResult(result, sent) = writes_to.write_all(bytes).await;
                result?;
                queue.note_sent();
                spare = reusable(sent);
            }
            Next::Job(job, unused, _unsent) => {
                job(writes_to).await?;
                queue.note_job();
                spare = unused;
            }
            Next::End(end) => {
                if queue.wants_eof.get() {
                    writes_to.shutdown().await?;
                }
                return Ok(if end == CloseMode::Eof { queue.past_eof().await } else { end });
            }
        }
    }
}

/// An empty buffer to fill, which does not keep the memory of a large one.
fn reusable(mut sent: Vec<u8>) -> Vec<u8> {
    if sent.capacity() > KEPT_CAPACITY {
        return Vec::new();
    }
    sent.clear();
    sent
}

fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the writer has aborted the connection")
}

/// The task was ended by its runtime's end, or by a panic of what it writes to.
fn torn() -> io::Error {
    let text = "the connection was dropped before its writer was closed and all was sent: \
                the runtime has ended, or sending panicked";
    io::Error::new(io::ErrorKind::BrokenPipe, text)
}
