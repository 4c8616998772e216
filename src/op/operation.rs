//! The first kind of operation: one completion, or several steps of one completion each.
//!
//! Here is what an operation must say of itself; [`future`](super::future) carries it out.

use std::task::{Context, Poll};

use super::drain::Draining;
use super::socket::SocketFd;
use crate::driver::{Driver, Orphan};
use crate::sys::{Completion, Submission};

/// What follows from a completion.
pub(crate) enum Step<O: Operation> {
    /// The operation is over.
    Done(O::Output),
    /// It takes another step.
    Again(O),
    /// It takes another step, once its socket has room.
    NoRoom(O),
}

/// Something that the kernel does once, or in several steps one after the other.
///
/// # Safety
///
/// What a submission points to is owned by the operation, is stored where it does not move when the
/// operation moves, and is not touched by the operation until the completion; with
/// [`NOTIFIES`](Self::NOTIFIES), the [`keeper`](Self::keeper) keeps it until the notification.
pub(crate) unsafe trait Operation: Sized + 'static {
    type Output;

    /// Whether each submission completes twice: with its result, and then with a notification that
    /// its memory is free. The operation goes on after the result.
    const NOTIFIES: bool = false;

    /// Whether a device may be at work on a step, as on a read of a file. The kernel does not find
    /// such a step to cancel it, and would not until the device is done.
    const MAY_BE_ON_DEVICE: bool = false;

    /// [`MAY_BE_ON_DEVICE`](Self::MAY_BE_ON_DEVICE) where it depends on the descriptor.
    fn may_be_on_device(&self) -> bool {
        Self::MAY_BE_ON_DEVICE
    }

    /// Whether each step goes to a device and not to the page cache. Only an operation that
    /// [`MAY_BE_ON_DEVICE`](Self::MAY_BE_ON_DEVICE) may say so.
    fn feeds_device(&self) -> bool {
        false
    }

    /// Whether a step that a signal has interrupted did nothing, and so is repeated.
    const REPEATS_INTERRUPTED: bool = true;

    /// What keeps the memory until the notification, and takes that. An operation that
    /// [`NOTIFIES`](Self::NOTIFIES) has one.
    fn keeper(&self) -> Option<Box<dyn Orphan>> {
        None
    }

    /// Before the first step: waits for what must come first, or returns the output if it is known
    /// without the kernel.
    fn poll_ready(&self, _context: &Context<'_>) -> Poll<Option<Self::Output>> {
        Poll::Ready(None)
    }

    /// Writes the SQE of the next step.
    fn submission(&mut self) -> Submission;

    /// A timeout to link to the SQE, if the kernel is to cancel the step after a time.
    fn linked_timeout(&self) -> Option<Submission> {
        None
    }

    /// Whether an inline call is expected to do the next step without waiting, and costs less than
    /// an SQE.
    fn prefers_inline(&self, _driver: &Driver) -> bool {
        false
    }

    /// Does the next step by a non-blocking system call. `None` if there is no descriptor to call
    /// with, or if the call would have to wait and an SQE can.
    fn try_inline(&mut self) -> Option<Completion> {
        None
    }

    /// The socket that the operation sends on, if it does: a step that finds no room (`EAGAIN`) is
    /// repeated when there is some.
    fn sends_on(&self) -> Option<&SocketFd> {
        None
    }

    /// A signal has interrupted a step, which did nothing and will be repeated.
    fn interrupted(&mut self, _completion: Completion) {}

    /// Takes the completion of a step.
    fn complete(self, completion: Completion) -> Step<Self>;

    /// The future is gone while a step is in the kernel. What is returned is dropped after
    /// [`settle`](Self::settle).
    fn on_orphaned(&self) -> Option<Draining> {
        None
    }

    /// Disposes of a completion that no future takes.
    fn settle(self, completion: Completion);
}

/// The length of a buffer as an SQE carries it. The kernel moves at most 2 GiB at once; what is
/// beyond is left for the next step.
pub(super) fn sqe_length(length: usize) -> u32 {
    const MAX_TRANSFER: usize = 0x7fff_f000;
    length.min(MAX_TRANSFER) as u32
}
