//! Two ends of a connection in memory, which takes and gives as little as a test likes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use annulus_tls::Transport;

/// One direction.
struct Direction {
    bytes: RefCell<VecDeque<u8>>,
    capacity: usize,
    is_shut_down: Cell<bool>,
    is_aborted: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    /// How many bytes were ever written.
    written: Cell<usize>,
}

impl Direction {
    fn new(capacity: usize) -> Rc<Self> {
        Rc::new(Self {
            bytes: RefCell::default(),
            capacity,
            is_shut_down: Cell::default(),
            is_aborted: Cell::default(),
            reader: Cell::default(),
            writer: Cell::default(),
            written: Cell::default(),
        })
    }

    fn wake(waker: &Cell<Option<Waker>>) {
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }
}

pub(crate) struct Pipe {
    incoming: Rc<Direction>,
    outgoing: Rc<Direction>,
    /// Bytes lent to the reader.
    lent: Vec<u8>,
    /// Makes reads and writes short, and now and then wait without need.
    whims: Option<fastrand::Rng>,
}

/// Two ends. Each direction holds at most `capacity` bytes.
pub(crate) fn pipe(capacity: usize) -> (Pipe, Pipe) {
    let (there, back) = (Direction::new(capacity), Direction::new(capacity));
    let end = |incoming: &Rc<Direction>, outgoing: &Rc<Direction>| Pipe {
        incoming: Rc::clone(incoming),
        outgoing: Rc::clone(outgoing),
        lent: Vec::new(),
        whims: None,
    };
    (end(&back, &there), end(&there, &back))
}

impl Pipe {
    pub(crate) fn with_whims(mut self, random: fastrand::Rng) -> Self {
        self.whims = Some(random);
        self
    }

    /// What looks on from outside.
    pub(crate) fn watch(&self) -> Watch {
        Watch { outgoing: Rc::clone(&self.outgoing) }
    }

    /// Whether the call is to wait without need. The task is woken at once.
    fn balks(&mut self, context: &Context<'_>) -> bool {
        let balks = self.whims.as_mut().is_some_and(|random| random.u8(..4) == 0);
        if balks {
            context.waker().wake_by_ref();
        }
        balks
    }

    fn shorten(&mut self, count: usize) -> usize {
        match &mut self.whims {
            Some(random) if count > 1 => random.usize(1..=count),
            _ => count,
        }
    }
}

/// Sees what an end writes.
pub(crate) struct Watch {
    outgoing: Rc<Direction>,
}

impl Watch {
    pub(crate) fn written(&self) -> usize {
        self.outgoing.written.get()
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.outgoing.is_shut_down.get()
    }

    /// Ends the direction as an attacker does, or a broken network.
    pub(crate) fn truncate(&self) {
        self.outgoing.is_shut_down.set(true);
        Direction::wake(&self.outgoing.reader);
    }
}

impl Transport for Pipe {
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if !self.lent.is_empty() {
            return Poll::Ready(Ok(&self.lent));
        }
        if self.balks(context) {
            return Poll::Pending;
        }
        if self.incoming.is_aborted.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let available = self.incoming.bytes.borrow().len();
        if available == 0 && !self.incoming.is_shut_down.get() {
            self.incoming.reader.set(Some(context.waker().clone()));
            return Poll::Pending;
        }
        let count = self.shorten(available);
        self.lent.extend(self.incoming.bytes.borrow_mut().drain(..count));
        Direction::wake(&self.incoming.writer);
        Poll::Ready(Ok(&self.lent))
    }

    fn consume(&mut self, count: usize) {
        self.lent.drain(..count);
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.balks(context) {
            return Poll::Pending;
        }
        if self.outgoing.is_shut_down.get() || self.outgoing.is_aborted.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let held = self.outgoing.bytes.borrow().len();
        let room = self.outgoing.capacity.saturating_sub(held);
        if room == 0 {
            self.outgoing.writer.set(Some(context.waker().clone()));
            return Poll::Pending;
        }
        let offered = buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
        let count = self.shorten(room.min(offered));
        let bytes = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(count);
        self.outgoing.bytes.borrow_mut().extend(bytes);
        self.outgoing.written.set(self.outgoing.written.get() + count);
        Direction::wake(&self.outgoing.reader);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.balks(context) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.is_shut_down.set(true);
        Direction::wake(&self.outgoing.reader);
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        for direction in [&self.incoming, &self.outgoing] {
            direction.is_aborted.set(true);
            Direction::wake(&direction.reader);
            Direction::wake(&direction.writer);
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.outgoing.is_shut_down.set(true);
        Direction::wake(&self.outgoing.reader);
        // What no one reads any more must not keep the writer waiting.
        self.incoming.is_aborted.set(true);
        Direction::wake(&self.incoming.writer);
    }
}
