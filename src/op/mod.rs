//! Operations: one a file, each with the entry it writes, what its completion means, and what
//! becomes of a completion that nobody awaits any more.
//!
//! # Who owns what, when
//!
//! 1. [`Op::new`] holds the operation, and with it every resource the kernel will use: the buffer,
//!    the descriptor, an address.
//! 2. The first poll writes the entry and submits it. The kernel may now use the resources; the
//!    future still holds them. It may move: what the entry points to stands on the heap. (Or a system
//!    call does the work at once, if it can be expected not to wait; see `driver::inline`. An operation
//!    that has to wait for dropped ones is not submitted before they have ended, and one whose outcome
//!    is known already never is: [`Operation::poll_before`].)
//! 3. The completion comes: the operation turns it into the output, giving the resources back.
//! 4. Or the future is dropped first: the operation moves into the driver's slot, the kernel is
//!    asked to cancel, and when the last completion comes the operation *settles* it: bytes go to
//!    the stream they belong to, descriptors are kept or closed.
//!
//! Two outcomes are the same for all and are seen to here: a step that a signal has interrupted is done
//! again, and a send that found no room waits for it (`room`) and goes on. While it waits the kernel has
//! nothing of it but a poll.
//!
//! A future that is forgotten keeps its resources for ever, which is sound.

mod accept;
mod accept_each;
mod close;
mod connect;
mod descriptor;
mod drain_pipe;
mod ending;
mod fill_pipe;
mod habit;
mod inflow;
mod multishot;
#[cfg(test)]
mod on_workers;
mod open_socket;
mod payload;
mod peek;
mod readable;
mod recv;
mod recv_lease;
mod room;
mod send;
mod send_zero_copy;
mod set_option;
mod shutdown;
mod socket;
#[cfg(test)]
mod steps;
mod target;
#[cfg(test)]
mod tests;
mod timeout;

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

pub(crate) use accept::{Accepted, Acceptor};
pub(crate) use connect::Connect;
pub(crate) use descriptor::Descriptor;
pub(crate) use drain_pipe::DrainPipe;
pub(crate) use fill_pipe::FillPipe;
pub(crate) use open_socket::OpenSocket;
pub(crate) use payload::{One, Several};
pub(crate) use peek::Peek;
pub(crate) use readable::Readable;
pub(crate) use recv::{Recv, RecvExact};
pub(crate) use recv_lease::RecvLease;
pub(crate) use send::Sending;
pub(crate) use send_zero_copy::{SendZeroCopy, Unsent};
pub(crate) use set_option::SetOption;
pub(crate) use socket::Socket;
pub(crate) use timeout::KernelTimeout;

use ending::Leaving;
use room::Room;

use crate::driver::{Driver, Key, Orphan};
use crate::sys::errno::{EAGAIN, ECANCELED, EINTR};
use crate::sys::{Completion, Submission};
use crate::task::{RuntimeId, check_runtime, coop, running};

/// What a completion leads to.
pub(crate) enum Step<O: Operation> {
    /// The operation is over.
    Done(O::Output),
    /// It takes another entry.
    Again(O),
    /// It takes another entry, once its socket has room.
    NoRoom(O),
}

/// Something that the kernel does once, or in several steps one after the other.
///
/// # Safety
///
/// What the entries point to is owned by the operation, stands where it does not move when the
/// operation moves, and is not touched by the operation until the entry's completion.
pub(crate) unsafe trait Operation: Sized + 'static {
    type Output;

    /// Before the first step: waits for what must come first, or says the outcome if it is known without
    /// asking the kernel.
    fn poll_before(&self, _context: &Context<'_>) -> Poll<Option<Self::Output>> {
        Poll::Ready(None)
    }

    /// Writes the entry of the next step.
    fn entry(&mut self) -> Submission;

    /// A timeout to link to the entry, if it is to be cancelled in the kernel.
    fn linked_timeout(&self) -> Option<Submission> {
        None
    }

    /// Whether the next step can be expected not to wait, and is cheaper done by a system call.
    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        false
    }

    /// Does the next step by a system call; `None` if there is nothing to call by, or if it would have to
    /// wait and its entry can.
    fn attempt(&mut self) -> Option<Completion> {
        None
    }

    /// The socket that the operation sends on, if it does: a step that finds no room (`EAGAIN`) is done
    /// again when there is some.
    fn sends_on(&self) -> Option<&Socket> {
        None
    }

    /// A signal has interrupted a step, which did nothing and will be done again.
    fn interrupted(&mut self, _completion: Completion) {}

    /// Takes the completion of a step.
    fn complete(self, completion: Completion) -> Step<Self>;

    /// The future is gone; the completion is still to come, and will be given to
    /// [`settle`](Self::settle). What this gives is dropped after that.
    fn leaving(&self) -> Option<Leaving> {
        None
    }

    /// Disposes of the completion that came after the future had gone.
    fn settle(self, completion: Completion);
}

/// The future of an operation.
pub(crate) struct Op<O: Operation> {
    driver: Rc<Driver>,
    /// `None` once it is over.
    operation: Option<O>,
    stage: Stage,
}

/// What the kernel has of an operation.
enum Stage {
    Nothing,
    /// The entry of a step, in this slot.
    Step(Key),
    /// The poll of a wait for room.
    Room(Room),
}

impl<O: Operation> Op<O> {
    pub(crate) fn new(driver: &Rc<Driver>, operation: O) -> Self {
        Self { driver: Rc::clone(driver), operation: Some(operation), stage: Stage::Nothing }
    }

    /// Asks the kernel to end the operation, if it is in flight. Its outcome still comes here.
    pub(crate) fn cancel(&self) {
        if let Stage::Step(key) = self.stage {
            self.driver.cancel(key);
        }
    }

    fn poll_before(&mut self, context: &Context<'_>) -> Poll<Option<O::Output>> {
        let operation = self.operation.as_ref().expect("an operation was polled after its end");
        let known = ready!(operation.poll_before(context));
        if known.is_some() {
            self.operation = None;
        }
        Poll::Ready(known)
    }

    /// Does the next step past the ring, if that is likely to succeed and cheaper. Whoever has used up
    /// its budget goes through the ring, and waits: so an operation that has begun is always in flight
    /// between two polls, and what it has brought is settled if it is dropped.
    // In `poll` and, out of line, in `poll_room`.
    #[inline(always)]
    fn attempt(&mut self, has_room: bool) -> Option<Completion> {
        let operation = self.operation.as_mut().expect("an operation was polled after its end");
        let may = (has_room || operation.is_worth_attempting(&self.driver))
            && self.driver.may_run_inline()
            && coop::try_spend();
        let completion = if may { operation.attempt() } else { None };
        if let Some(completion) = completion.filter(|completion| !completion.failed_with(EAGAIN)) {
            self.driver.note_inline_call(completion.result().unwrap_or(0) as usize);
        }
        completion
    }

    /// Waits until the socket has room. An entry or, where there is something to call by, a call comes
    /// next; if the wait has failed, that is the step's completion.
    #[inline(never)]
    fn poll_room(&mut self, context: &Context<'_>) -> Poll<Option<Completion>> {
        let Stage::Room(room) = &mut self.stage else { return Poll::Ready(None) };
        let socket = self.operation.as_ref().and_then(O::sends_on);
        let socket = socket.expect("only what sends waits for room");
        let report = ready!(room.poll(socket, context));
        let calls = socket.descriptor().fd_at_hand().is_some();
        self.stage = Stage::Nothing;
        Poll::Ready(if report.errno().is_some() { Some(report) } else { self.attempt(calls) })
    }

    fn submit(&mut self, context: &Context<'_>) -> Option<Key> {
        let operation = self.operation.as_mut().expect("an operation was polled after its end");
        let (entry, timeout) = (operation.entry(), operation.linked_timeout());
        let waker = context.waker();
        // SAFETY: the operation owns what the entries point to. It is kept here until the
        // completion has been taken, or abandoned to the driver in `drop`.
        unsafe { self.driver.submit(entry, timeout, waker) }
    }
}

impl<O: Operation> Unpin for Op<O> {}

impl<O: Operation> Future for Op<O> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O::Output> {
        check_loop(&self.driver);
        // Between two polls, what has begun is in flight.
        if let Stage::Nothing = self.stage {
            if let Some(output) = ready!(self.poll_before(context)) {
                return Poll::Ready(output);
            }
        }
        loop {
            let completion = match self.stage {
                Stage::Step(key) => {
                    let completion = ready!(self.driver.poll(key, context.waker()));
                    self.stage = Stage::Nothing;
                    Some(completion)
                }
                Stage::Room(_) => ready!(self.poll_room(context)),
                Stage::Nothing => self.attempt(false),
            };
            let completion = match completion {
                Some(completion) => completion,
                None => match self.submit(context) {
                    Some(key) => {
                        self.stage = Stage::Step(key);
                        return Poll::Pending;
                    }
                    None => Completion::failed(ECANCELED),
                },
            };
            let mut operation = self.operation.take().expect("an operation in flight is not over");
            let step = match completion.errno() {
                Some(EINTR) => {
                    operation.interrupted(completion);
                    Step::Again(operation)
                }
                Some(EAGAIN) if operation.sends_on().is_some() => Step::NoRoom(operation),
                _ => operation.complete(completion),
            };
            match step {
                Step::Done(output) => return Poll::Ready(output),
                Step::Again(operation) => self.operation = Some(operation),
                Step::NoRoom(operation) => {
                    let socket = operation.sends_on().expect("what finds no room sends");
                    self.stage = Stage::Room(Room::awaited(socket));
                    self.operation = Some(operation);
                }
            }
        }
    }
}

impl<O: Operation> Drop for Op<O> {
    fn drop(&mut self) {
        match mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Nothing => {}
            Stage::Room(mut room) => room.stop(&self.driver),
            Stage::Step(key) => {
                let Some(operation) = self.operation.take() else { return };
                let leaving = operation.leaving();
                match self.driver.try_take(key) {
                    Some(completion) => operation.settle(completion),
                    None => {
                        let left = Left { operation: Some(operation), _leaving: leaving };
                        self.driver.abandon(key, Box::new(left));
                    }
                }
            }
        }
    }
}

/// An operation whose future is gone.
struct Left<O> {
    operation: Option<O>,
    _leaving: Option<Leaving>,
}

impl<O: Operation> Orphan for Left<O> {
    fn settle(&mut self, completion: Completion) {
        if let Some(operation) = self.operation.take() {
            operation.settle(completion);
        }
    }
}

/// Call this before waiting for the kernel: a ring that nobody drives brings nothing.
///
/// # Panics
///
/// If this thread is inside the loop of another runtime, unless this one has ended: then what belongs to it
/// comes to an end anywhere.
#[inline]
fn check_loop(driver: &Rc<Driver>) {
    if running() != Some(RuntimeId::of(driver)) {
        check_other_loop(driver);
    }
}

/// [`check_loop`] where this thread is not inside the loop of that runtime.
#[cold]
#[inline(never)]
fn check_other_loop(driver: &Rc<Driver>) {
    if !driver.is_closing() {
        check_runtime(RuntimeId::of(driver), "a connection, listener or other I/O");
    }
}

/// The length of a buffer, as entries carry it. The kernel moves at most 2 GiB at once; more is
/// left for the next step.
fn entry_length(length: usize) -> u32 {
    const MOST: usize = 0x7fff_f000;
    length.min(MOST) as u32
}
