//! Accepting with one SQE for each connection: as direct descriptors, near a limit, and on kernels
//! without multishot accept.
//!
//! For a direct descriptor, each SQE names the file slot: were the kernel to choose it (with
//! multishot accept), and to find none, it would close what it has just accepted. If one connection
//! has come and more wait behind it, several SQEs are in flight, so that a turn takes a batch all
//! the same. The kernel also reports the peer's address, which otherwise takes a call.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::accepted::{Accepted, Heir, accepted_fd};
use super::listening_fd::ListeningFd;
use crate::driver::{Driver, FileSlot};
use crate::op::descriptor::Descriptor;
use crate::op::future::Op;
use crate::op::operation::{Operation, Step};
use crate::sys::address::RawAddress;
use crate::sys::socket::SOCK_CLOEXEC;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// How many SQEs are in flight at most, while connections are awaited.
pub(super) const BATCH: u32 = 16;

/// How many SQEs are in flight at most, when a listener is closed: it is to end soon.
pub(super) const WAVE: u32 = 256;

/// The accepts in flight on one listener, the oldest first: what several have met is returned in
/// the order in which the kernel tried them, so that the client that has waited for longest is
/// served first.
#[derive(Default)]
pub(super) struct Accepts(VecDeque<Op<AcceptOne>>);

impl Accepts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Starts one, whose connection is to be a direct descriptor if a slot is given. Returns
    /// whether it has been started: a driver that is closed takes none.
    pub(super) fn start(
        &mut self,
        driver: &Rc<Driver>,
        listener: &ListeningFd,
        heir: Option<&Heir>,
        slot: Option<FileSlot>,
        context: &mut Context<'_>,
    ) -> bool {
        let mut accept = Op::new(driver, AcceptOne::new(listener, heir.cloned(), slot));
        // An SQE completes later.
        let is_started = Pin::new(&mut accept).poll(context).is_pending();
        self.0.extend(is_started.then_some(accept));
        is_started
    }

    /// The outcome of one of them, which is removed.
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

    /// Cancels them. What they accept all the same is returned by [`poll_next`](Self::poll_next).
    pub(super) fn cancel(&mut self) {
        self.0.iter_mut().for_each(Op::cancel);
    }
}

/// A connection, whether it is a direct descriptor, and whether more wait behind it.
pub(super) struct Arrival {
    pub(super) accepted: Accepted,
    pub(super) is_direct: bool,
    pub(super) has_more: bool,
}

pub(super) struct AcceptOne {
    listener: ListeningFd,
    heir: Option<Heir>,
    slot: Option<FileSlot>,
    peer: Box<RawAddress>,
}

impl AcceptOne {
    fn new(listener: &ListeningFd, heir: Option<Heir>, slot: Option<FileSlot>) -> Self {
        Self { listener: listener.clone(), heir, slot, peer: Box::new(RawAddress::empty()) }
    }

    /// What a successful accept has made. Dropped, it is closed.
    fn descriptor(slot: Option<FileSlot>, completion: Completion) -> io::Result<Descriptor> {
        match slot {
            Some(slot) => completion.result().map(|_| Descriptor::direct(slot)),
            None => accepted_fd(completion).map(Descriptor::from),
        }
    }
}

// SAFETY: the SQE points to the address and its length, which live in a box and are not touched
// before the completion. The kernel does not write to them after that (`uring-sys-tests`,
// freed_buffer_never_written).
unsafe impl Operation for AcceptOne {
    type Output = io::Result<Arrival>;

    fn submission(&mut self) -> Submission {
        let fd = Fd(self.listener.as_raw_fd());
        let name = self.peer.as_mut_ptr();
        let length = ptr::from_mut(self.peer.length_mut());
        let accept = opcode::Accept::new(fd, name, length);
        match &self.slot {
            Some(slot) => accept.file_index(Some(slot.destination())).build(),
            None => accept.flags(SOCK_CLOEXEC).build(),
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        let (peer, is_direct) = (self.peer.decode().ok(), self.slot.is_some());
        Step::Done(Self::descriptor(self.slot, completion).map(|descriptor| Arrival {
            accepted: Accepted { descriptor, peer },
            is_direct,
            has_more: completion.has_more(),
        }))
    }

    fn settle(self, completion: Completion) {
        let descriptor = Self::descriptor(self.slot, completion);
        if let (Ok(descriptor), Some(heir)) = (descriptor, self.heir) {
            heir(Accepted { descriptor, peer: self.peer.decode().ok() });
        }
    }
}
