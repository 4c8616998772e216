//! The entry that goes on by itself on a socket: one for all that comes, instead of one for each
//! receive.
//!
//! | kind      | the entry                                | for sockets that bring |
//! |-----------|------------------------------------------|------------------------|
//! | bytes     | a multishot receive (`inflow`)           | little                 |
//! | readiness | an edge-triggered multishot poll (`watch`) | much                 |
//!
//! It belongs to the socket and not to whoever awaits bytes, so what comes when nobody does is simply
//! the next to be taken. There is one at a time. It ends when the habit has changed (`habit`), when
//! someone reads into memory of his own (and then does not begin again on this socket), and when the
//! socket is dropped. The peer is then told at once; the descriptor stays open until the kernel has let
//! go of it.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::Socket;
use super::close::Closing;
use crate::buf::Lease;
use crate::driver::{Key, Orphan};
use crate::sys::{Completion, Submission};

/// How much may wait to be taken before the kernel is asked to stop.
const AHEAD: u32 = 4;

#[derive(Default)]
pub(super) struct Standing {
    /// `None` while nothing is in flight.
    running: Cell<Option<Running>>,
    stopping: Cell<bool>,
    /// Whether someone has read into memory of his own.
    is_unwanted: Cell<bool>,
}

/// What is in flight.
#[derive(Clone, Copy)]
struct Running {
    kind: Kind,
    key: Key,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bytes,
    Readiness,
}

impl Socket {
    /// What has come by itself; `None` if nothing does, so that it must be asked for.
    pub(crate) fn poll_incoming(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Lease>>> {
        loop {
            let outcome = match self.standing.running.get().or_else(|| self.start_standing()) {
                None => return Poll::Ready(None),
                Some(Running { kind: Kind::Bytes, key }) => ready!(self.poll_inflow(key, context)),
                Some(Running { kind: Kind::Readiness, key }) => {
                    ready!(self.poll_watch(key, context))
                }
            };
            if outcome.is_some() {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Ends what goes on by itself, and puts what it has brought to the unread bytes.
    pub(crate) fn poll_incoming_ended(&self, context: &Context<'_>) -> Poll<()> {
        self.standing.is_unwanted.set(true);
        while let Some(Running { kind, key }) = self.standing.running.get() {
            self.stop_standing();
            match ready!(self.driver().poll_next(key, context.waker())) {
                None => self.standing_ended(),
                Some(completion) if kind == Kind::Bytes => self.put_back_received(completion),
                Some(_) => {}
            }
        }
        Poll::Ready(())
    }

    fn start_standing(&self) -> Option<Running> {
        if self.standing.is_unwanted.get() {
            return None;
        }
        let habit = self.habit.get();
        let kind = match () {
            () if habit.is_often_much() && self.call_fd().is_some() => Kind::Readiness,
            () if habit.is_often_little() && self.can_flow_in() => Kind::Bytes,
            () => return None,
        };
        let entry = match kind {
            Kind::Bytes => self.inflow_entry(),
            Kind::Readiness => self.watch_entry(),
        };
        self.submit_standing(kind, entry)
    }

    fn submit_standing(&self, kind: Kind, entry: Submission) -> Option<Running> {
        // SAFETY: the entries of both kinds point to no memory: the kernel picks buffers that the driver
        // has given it, and nobody touches those meanwhile.
        let key = unsafe { self.driver().submit_multishot(entry, AHEAD) }?;
        match kind {
            Kind::Bytes => self.driver().note_multishot_receive(),
            Kind::Readiness => self.driver().note_multishot_poll(),
        }
        let running = Running { kind, key };
        self.standing.running.set(Some(running));
        Some(running)
    }

    /// Asks the kernel to end what goes on by itself. What it has brought and still brings is there to be
    /// taken.
    pub(super) fn stop_standing(&self) {
        if let Some(Running { key, .. }) = self.standing.running.get() {
            if !self.standing.stopping.replace(true) {
                self.driver().cancel(key);
            }
        }
    }

    /// The last completion has been taken.
    pub(super) fn standing_ended(&self) {
        self.standing.running.set(None);
        self.standing.stopping.set(false);
    }
}

impl Standing {
    /// The socket is dropped: what closes it is kept until the kernel has let go of it.
    pub(super) fn abandon(&self, closing: Closing) {
        match self.running.take() {
            None => drop(closing),
            Some(Running { key, .. }) => {
                closing.announce();
                let driver = Rc::clone(closing.driver());
                driver.abandon(key, Box::new(Unwanted(closing)));
            }
        }
    }
}

/// An entry whose socket is gone.
struct Unwanted(Closing);

impl Orphan for Unwanted {
    fn settle(&mut self, completion: Completion) {
        if let Some(buffer) = completion.buffer() {
            drop(self.0.driver().reported_lease(buffer));
        }
    }
}
