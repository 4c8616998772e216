//! Accepting into the ring's table, with one entry for each connection.
//!
//! Each entry names the place for its connection: were the kernel to choose it (for many connections, by
//! one entry), and to find none, it would close what it has just accepted. If one connection has come and
//! more stand behind it, several entries are in flight, so that a turn takes a batch all the same. The
//! kernel also tells the peer's address, which otherwise takes a call.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::accept::Accepted;
use super::{Descriptor, Op, Operation, Step};
use crate::driver::{Driver, Place};
use crate::sys::address::RawAddress;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// How many connections are taken in one turn at most.
const BATCH: usize = 16;

/// The accepts in flight on one listener, in no order.
#[derive(Default)]
pub(super) struct DirectAccepts(VecDeque<Op<AcceptDirect>>);

impl DirectAccepts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Starts one, if there is a place for its connection.
    pub(super) fn start(
        &mut self,
        driver: &Rc<Driver>,
        listener: &Rc<OwnedFd>,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(place) = Place::take_ahead(driver) else { return false };
        let mut accept = Op::new(driver, AcceptDirect::new(listener, place));
        // An entry completes later. A driver that is closed takes none.
        let is_started = Pin::new(&mut accept).poll(context).is_pending();
        self.0.extend(is_started.then_some(accept));
        is_started
    }

    /// Starts as many as may be, since there are more connections than one; but no more than may be taken
    /// before someone awaits them.
    pub(super) fn start_all(
        &mut self,
        most: u32,
        driver: &Rc<Driver>,
        listener: &Rc<OwnedFd>,
        context: &mut Context<'_>,
    ) {
        let most = BATCH.min(most as usize);
        while self.0.len() < most && self.start(driver, listener, context) {}
    }

    /// What one of them comes to. It is not among them any more.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        for index in 0..self.0.len() {
            if let Poll::Ready(outcome) = Pin::new(&mut self.0[index]).poll(context) {
                drop(self.0.swap_remove_back(index));
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    }

    /// Asks the kernel to end them. What they bring all the same comes by [`poll_next`](Self::poll_next).
    pub(super) fn cancel(&self) {
        self.0.iter().for_each(Op::cancel);
    }
}

/// A connection, and whether more stand behind it.
pub(super) struct Arrival {
    pub(super) accepted: Accepted,
    pub(super) has_more: bool,
}

struct AcceptDirect {
    listener: Rc<OwnedFd>,
    place: Place,
    peer: Box<RawAddress>,
}

impl AcceptDirect {
    fn new(listener: &Rc<OwnedFd>, place: Place) -> Self {
        Self { listener: Rc::clone(listener), place, peer: Box::new(RawAddress::empty()) }
    }
}

// SAFETY: the entry points to the address and its length, which stand in a box and are not touched before
// the completion.
unsafe impl Operation for AcceptDirect {
    type Output = io::Result<Arrival>;

    fn entry(&mut self) -> Submission {
        let fd = Fd(self.listener.as_raw_fd());
        let name = self.peer.as_mut_ptr();
        let length = ptr::from_mut(self.peer.length_mut());
        opcode::Accept::new(fd, name, length).file_index(Some(self.place.target())).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(|_| Arrival {
            accepted: Accepted {
                descriptor: Descriptor::direct(self.place),
                peer: self.peer.decode().ok(),
            },
            has_more: completion.has_more(),
        }))
    }

    fn settle(self, _completion: Completion) {}
}
