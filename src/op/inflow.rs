//! Receiving that goes on by itself (a multishot receive): one entry for all that a socket brings.
//!
//! It belongs to the socket and not to whoever awaits bytes, so what comes when nobody does is simply
//! the next to be taken. It is for sockets that bring little at a time (`habit`). It ends:
//!
//! - when the peer does, or with an error;
//! - when [`AHEAD`] messages have come that nobody has taken: so much, and what the kernel had under
//!   way, is what a peer can make the process hold; the rest stays in the socket, and TCP slows the
//!   peer down. It begins again when all has been taken;
//! - when a message was so large that others are to be received differently;
//! - when there was no buffer. The bytes are still in the socket;
//! - when someone reads into memory of his own: then what has come goes to the unread bytes, and on
//!   this socket it does not begin again;
//! - when the socket is dropped. The peer is told at once; the descriptor stays open until the kernel
//!   has let go of it.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::close::Closing;
use super::habit::Habit;
use super::recv::keep_error;
use super::{Socket, check_loop};
use crate::buf::Lease;
use crate::driver::{Key, Orphan};
use crate::sys::errno::ENOBUFS;
use crate::sys::{BUFFER_GROUP, Completion, opcode};

/// How many messages may wait to be taken before the kernel is asked to stop.
const AHEAD: u32 = 4;

#[derive(Default)]
pub(super) struct Inflow {
    /// `None` while nothing is in flight.
    key: Cell<Option<Key>>,
    stopping: Cell<bool>,
    /// Whether someone has read into memory of his own.
    is_unwanted: Cell<bool>,
}

impl Socket {
    /// The next that has come by itself; `None` if nothing does, so that it must be asked for.
    pub(crate) fn poll_inflow(&self, context: &Context<'_>) -> Poll<Option<io::Result<Lease>>> {
        while let Some(key) = self.inflow.key.get().or_else(|| self.start_inflow()) {
            match ready!(self.driver().poll_next_within_budget(key, context)) {
                None => self.inflow_ended(),
                Some(completion) => {
                    if let Some(outcome) = self.take_in(completion) {
                        return Poll::Ready(Some(outcome));
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    /// Ends the receive that goes on by itself, and puts what it has brought to the unread bytes.
    pub(crate) fn poll_inflow_ended(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(self.driver());
        self.inflow.is_unwanted.set(true);
        while let Some(key) = self.inflow.key.get() {
            self.stop_inflow(key);
            match ready!(self.driver().poll_next(key, context.waker())) {
                None => self.inflow_ended(),
                Some(completion) => self.put_back_received(completion),
            }
        }
        Poll::Ready(())
    }

    fn start_inflow(&self) -> Option<Key> {
        let driver = self.driver();
        let is_due = self.habit.get().is_often_little() && !self.inflow.is_unwanted.get();
        if !is_due || !driver.capabilities().multishot_recv || !driver.buffers().has_provided() {
            return None;
        }
        let entry = self.entry(|fd| opcode::RecvMulti::new(fd, BUFFER_GROUP).build());
        // SAFETY: the entry points to no memory: the kernel picks buffers that the driver has given it,
        // and nobody touches those meanwhile.
        let key = unsafe { driver.submit_multishot(entry, AHEAD) }?;
        driver.counters().multishot_receives.increment();
        self.inflow.key.set(Some(key));
        Some(key)
    }

    fn stop_inflow(&self, key: Key) {
        if !self.inflow.stopping.replace(true) {
            self.driver().cancel(key);
        }
    }

    fn inflow_ended(&self) {
        self.inflow.key.set(None);
        self.inflow.stopping.set(false);
        if !self.habit.get().is_much() {
            // What has ended it may do so again: it must be worth while once more.
            self.habit.set(Habit::default());
        }
    }

    /// What a completion means to whoever receives: nothing, if it is only the end of the entry.
    fn take_in(&self, completion: Completion) -> Option<io::Result<Lease>> {
        let lease = self.lent(completion);
        self.has_more.set(completion.has_more());
        match self.received(completion, "recv") {
            Ok(count) => {
                self.learn(count, self.driver().buffers().provided_size());
                if let Some(key) = self.inflow.key.get().filter(|_| self.habit.get().is_much()) {
                    self.stop_inflow(key);
                }
                Some(Ok(lease))
            }
            Err(_) if completion.failed_with(ENOBUFS) => {
                self.driver().buffers().grow_provided();
                None
            }
            Err(_) if completion.is_interrupted() => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// What a completion has brought in a buffer that the kernel has picked: nothing if it failed.
    pub(super) fn lent(&self, completion: Completion) -> Lease {
        let count = completion.result().map_or(0, |count| count as usize);
        let taken =
            completion.buffer().map(|buffer| self.driver().buffers().claim_provided(buffer));
        // SAFETY: so many bytes have been received into it.
        taken.map_or_else(Lease::default, |taken| unsafe { taken.lend(count) })
    }

    /// Puts what such a completion has brought to the unread bytes, and the error or the end that the next
    /// read may not hear of otherwise. Without a buffer there was none.
    pub(super) fn put_back_received(&self, completion: Completion) {
        if !completion.failed_with(ENOBUFS) {
            keep_error(self, completion);
        }
        if matches!(completion.result(), Ok(0)) {
            self.put_back_end();
        }
        self.put_back(&self.lent(completion));
    }
}

impl Inflow {
    /// The socket is dropped: what closes it is kept until the kernel has let go of it.
    pub(super) fn abandon(&self, closing: Closing) {
        match self.key.take() {
            None => drop(closing),
            Some(key) => {
                closing.announce();
                let driver = Rc::clone(closing.driver());
                driver.abandon(key, Box::new(Unwanted(closing)));
            }
        }
    }
}

/// A receive whose socket is gone.
struct Unwanted(Closing);

impl Orphan for Unwanted {
    fn settle(&mut self, completion: Completion) {
        if let Some(buffer) = completion.buffer() {
            drop(self.0.driver().buffers().claim_provided(buffer));
        }
    }
}
