//! Waiting once until a descriptor is ready.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::check_loop::check_loop;
use super::drain::{DrainGates, Draining, Drains};
use super::operation::{Operation, Step};
use crate::driver::Driver;
use crate::error::Describe;
use crate::sys::poll::has_readiness;
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Completes when one of the events has been reported for a descriptor, or an error or hang-up.
/// Returns what was reported.
pub(crate) struct PollOnce {
    fd: RawFd,
    events: u32,
    /// What keeps the descriptor open; `None` if it is never closed.
    keeper: Option<Rc<PolledFd>>,
}

impl PollOnce {
    /// The descriptor must never be closed: another file would get its number.
    pub(crate) fn of_permanent(fd: RawFd, events: u32) -> Self {
        Self { fd, events, keeper: None }
    }

    pub(crate) fn new(polled: &Rc<PolledFd>, events: u32) -> Self {
        Self { fd: polled.fd, events, keeper: Some(Rc::clone(polled)) }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for PollOnce {
    type Output = io::Result<u32>;

    fn submission(&mut self) -> Submission {
        opcode::PollAdd::new(Fd(self.fd), self.events).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().describe("poll"))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        self.keeper.as_ref().map(Draining::read)
    }

    fn settle(self, _completion: Completion) {}
}

/// A descriptor of the user's and the polls on it.
///
/// A poll that waits in the queue names the descriptor by its number, and the kernel keeps the open
/// file until a poll has ended. So the owner of the descriptor may be left here
/// ([`keep`](Self::keep)), to be dropped after the last poll.
pub(crate) struct PolledFd {
    driver: Rc<Driver>,
    fd: RawFd,
    gates: DrainGates,
    owner: Cell<Option<Box<dyn Any>>>,
}

impl PolledFd {
    /// # Errors
    ///
    /// `InvalidInput` for a file that has no readiness, and the kernel's if nothing is open.
    pub(crate) fn new(driver: Rc<Driver>, fd: RawFd) -> io::Result<Self> {
        if !has_readiness(fd).describe("fstat")? {
            let text = "a file or directory is always ready, and a read of it may block all the \
                        same: use `annulus::fs`, or a closure on a thread";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self { driver, fd, gates: DrainGates::default(), owner: Cell::new(None) })
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    /// The descriptor as an SQE carries it.
    pub(super) fn sqe_fd(&self) -> Fd {
        Fd(self.fd)
    }

    /// Keeps the owner of the descriptor until no poll uses it.
    pub(crate) fn keep(self: Rc<Self>, owner: Box<dyn Any>) {
        self.owner.set(Some(owner));
    }

    /// Waits until no orphaned poll is in the kernel.
    pub(crate) fn poll_drained(&self, context: &Context<'_>) -> Poll<()> {
        check_loop(&self.driver);
        self.gates.reads.poll_drained(context)
    }
}

impl Drains for PolledFd {
    fn gates(&self) -> &DrainGates {
        &self.gates
    }
}
