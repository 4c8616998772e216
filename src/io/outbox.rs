//! What a writer has been given and the connection has not taken, and the task that sends it.
//!
//! The task owns the connection's writing half, so nobody who waits for it can tear a send in two by
//! being dropped. It takes all that is queued at once: what was written while it waited for its turn,
//! or for the send before, goes out together. Two buffers take turns, one being filled and one being
//! sent.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::rc::Rc;

use super::Write;
use crate::sync::Event;

/// How much memory an empty buffer may keep.
const KEPT_CAPACITY: usize = 16 * 1024;

/// Between a writer and its task.
#[derive(Default)]
pub(super) struct Outbox {
    queue: RefCell<Vec<u8>>,
    /// Bytes that the connection has but has not taken.
    sending: Cell<usize>,
    end: Cell<End>,
    /// Whether the connection has been let go of.
    is_over: Cell<bool>,
    failure: RefCell<Option<io::Error>>,
    /// There is something for the task to do.
    work: Event,
    /// Something has been taken, or nothing will be any more.
    progress: Event,
}

/// What comes after all that is queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// More.
    #[default]
    Open,
    /// The end of writing.
    Eof,
    /// The connection is let go.
    Closed,
    /// The connection is broken at once.
    Aborted,
}

impl Outbox {
    /// How many bytes the connection has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.queue.borrow().len() + self.sending.get()
    }

    pub(super) fn end(&self) -> End {
        self.end.get()
    }

    /// Queues bytes.
    pub(super) fn put(&self, bytes: &[u8]) {
        self.queue.borrow_mut().extend_from_slice(bytes);
        self.work.set();
    }

    /// Says what comes after what is queued. It cannot be taken back.
    pub(super) fn finish(&self, end: End) {
        self.end.set(self.end.get().max(end));
        self.work.set();
    }

    /// The error that has ended the task, again each time.
    pub(super) fn failure(&self) -> io::Result<()> {
        match &*self.failure.borrow() {
            None => Ok(()),
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Waits until something holds, which the task brings about, or until the connection has been let go of.
    pub(super) async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        while !self.is_over.get() && !holds(self) {
            self.progress.clear();
            self.progress.wait().await;
        }
    }

    /// Takes all that is queued, and leaves `spare` to be filled. No bytes mean that the end has come.
    async fn take(&self, spare: Vec<u8>) -> Vec<u8> {
        while self.queue.borrow().is_empty() && self.end.get() == End::Open {
            self.work.clear();
            self.work.wait().await;
        }
        let bytes = mem::replace(&mut *self.queue.borrow_mut(), spare);
        self.sending.set(bytes.len());
        bytes
    }

    /// Nothing is sent any more.
    pub(super) fn let_go(&self) {
        self.queue.take();
        self.is_over.set(true);
        self.note_taken();
    }

    fn note_taken(&self) {
        self.sending.set(0);
        self.progress.set();
    }

    fn fail(&self, error: io::Error) {
        *self.failure.borrow_mut() = Some(error);
    }

    /// Waits for the end of the connection that comes after the end of writing.
    async fn closed(&self) {
        while self.end.get() < End::Closed {
            self.work.clear();
            self.work.wait().await;
        }
    }
}

/// The connection in the hands of the task. However that ends, the writer hears of it.
struct Sink<W: Write> {
    writes_to: W,
    outbox: Rc<Outbox>,
}

impl<W: Write> Drop for Sink<W> {
    fn drop(&mut self) {
        if self.outbox.end.get() == End::Aborted {
            self.writes_to.abort();
        }
        self.outbox.let_go();
    }
}

/// Sends what is queued until the end.
pub(super) async fn send_all<W: Write>(outbox: Rc<Outbox>, writes_to: W) {
    let mut sink = Sink { writes_to, outbox: Rc::clone(&outbox) };
    if let Err(error) = send_to_end(&outbox, &mut sink.writes_to).await {
        outbox.fail(error);
    }
}

async fn send_to_end(outbox: &Outbox, writes_to: &mut impl Write) -> io::Result<()> {
    let mut spare = Vec::new();
    loop {
        let bytes = outbox.take(spare).await;
        if bytes.is_empty() {
            break;
        }
        let (result, sent) = writes_to.write_all(bytes).await;
        result?;
        outbox.note_taken();
        spare = reusable(sent);
    }
    if outbox.end() == End::Eof {
        writes_to.shutdown().await?;
        outbox.closed().await;
    }
    Ok(())
}

/// An empty buffer to fill, which does not keep the memory of a large one.
fn reusable(mut sent: Vec<u8>) -> Vec<u8> {
    if sent.capacity() > KEPT_CAPACITY {
        return Vec::new();
    }
    sent.clear();
    sent
}
