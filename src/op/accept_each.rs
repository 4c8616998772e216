//! Accepting with one entry for each connection: into the ring's table, near a limit, and on kernels
//! that cannot do otherwise.
//!
//! Into the table, each entry names the place for its connection: were the kernel to choose it (for
//! many connections, by one entry), and to find none, it would close what it has just accepted. If one
//! connection has come and more stand behind it, several entries are in flight, so that a turn takes a
//! batch all the same. The kernel also tells the peer's address, which otherwise takes a call.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::accept::{Accepted, connection};
use super::{Descriptor, Op, Operation, Step};
use crate::driver::{Driver, FileSlot};
use crate::sys::address::RawAddress;
use crate::sys::socket::SOCK_CLOEXEC;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// How many entries are in flight at most, while connections are awaited.
pub(super) const BATCH: u32 = 16;

/// How many entries are in flight at most, when a listener ends: it is to end soon.
pub(super) const WAVE: u32 = 256;

/// The accepts in flight on one listener, the oldest first: what several have met comes in the order in
/// which the kernel tried them, so that who has waited for longest is served first.
#[derive(Default)]
pub(super) struct Accepts(VecDeque<Op<AcceptOne>>);

impl Accepts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Starts one, whose connection is to stand in a place of the ring's table, if one is given. Says
    /// whether it has been started: a driver that is closed takes none.
    pub(super) fn start(
        &mut self,
        driver: &Rc<Driver>,
        listener: &Rc<OwnedFd>,
        place: Option<FileSlot>,
        context: &mut Context<'_>,
    ) -> bool {
        let mut accept = Op::new(driver, AcceptOne::new(listener, place));
        // An entry completes later.
        let is_started = Pin::new(&mut accept).poll(context).is_pending();
        self.0.extend(is_started.then_some(accept));
        is_started
    }

    /// What one of them comes to. It is not among them any more.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        for index in 0..self.0.len() {
            if let Poll::Ready(outcome) = Pin::new(&mut self.0[index]).poll(context) {
                drop(self.0.remove(index));
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Asks the kernel to end them. What they bring all the same comes by [`poll_next`](Self::poll_next).
    pub(super) fn cancel(&self) {
        self.0.iter().for_each(Op::cancel);
    }
}

/// A connection, whether it stands in the ring's table, and whether more stand behind it.
pub(super) struct Arrival {
    pub(super) accepted: Accepted,
    pub(super) has_place: bool,
    pub(super) has_more: bool,
}

pub(super) struct AcceptOne {
    listener: Rc<OwnedFd>,
    place: Option<FileSlot>,
    peer: Box<RawAddress>,
}

impl AcceptOne {
    fn new(listener: &Rc<OwnedFd>, place: Option<FileSlot>) -> Self {
        Self { listener: Rc::clone(listener), place, peer: Box::new(RawAddress::empty()) }
    }

    /// What a successful accept has made. Dropped, it is closed.
    fn descriptor(place: Option<FileSlot>, completion: Completion) -> io::Result<Descriptor> {
        match place {
            Some(place) => completion.result().map(|_| Descriptor::direct(place)),
            None => connection(completion).map(Descriptor::from),
        }
    }
}

// SAFETY: the entry points to the address and its length, which stand in a box and are not touched before
// the completion.
unsafe impl Operation for AcceptOne {
    type Output = io::Result<Arrival>;

    fn entry(&mut self) -> Submission {
        let fd = Fd(self.listener.as_raw_fd());
        let name = self.peer.as_mut_ptr();
        let length = ptr::from_mut(self.peer.length_mut());
        let accept = opcode::Accept::new(fd, name, length);
        match &self.place {
            Some(place) => accept.file_index(Some(place.target())).build(),
            None => accept.flags(SOCK_CLOEXEC).build(),
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        let (peer, has_place) = (self.peer.decode().ok(), self.place.is_some());
        Step::Done(Self::descriptor(self.place, completion).map(|descriptor| Arrival {
            accepted: Accepted { descriptor, peer },
            has_place,
            has_more: completion.has_more(),
        }))
    }

    fn settle(self, completion: Completion) {
        drop(Self::descriptor(self.place, completion));
    }
}
