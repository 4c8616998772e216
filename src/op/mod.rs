//! Operations: one a file, each with the entry it writes, what its completion means, and what
//! becomes of a completion that nobody awaits any more.
//!
//! # Who owns what, when
//!
//! 1. [`Op::new`] holds the operation, and with it every resource the kernel will use: the buffer,
//!    the descriptor, an address.
//! 2. The first poll writes the entry and submits it. The kernel may now use the resources; the
//!    future still holds them. It may move: what the entry points to stands on the heap. (Or a system
//!    call does the work at once, if it can be expected not to wait; see `driver::direct`. An operation
//!    that has to wait for dropped ones is not submitted before they have ended, and one whose outcome
//!    is known already never is: [`Operation::poll_before`].)
//! 3. The completion comes: the operation turns it into the output, giving the resources back.
//! 4. Or the future is dropped first: the operation moves into the driver's slot, the kernel is
//!    asked to cancel, and when the last completion comes the operation *settles* it: bytes go to
//!    the stream they belong to, descriptors are kept or closed.
//!
//! A future that is forgotten keeps its resources for ever, which is sound.

mod accept;
mod accept_direct;
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
mod peek;
mod readable;
mod recv;
mod recv_lease;
mod send;
mod send_zero_copy;
mod socket;
mod target;
mod timeout;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

pub(crate) use accept::{Accepted, Acceptor};
pub(crate) use connect::Connect;
pub(crate) use descriptor::Descriptor;
pub(crate) use drain_pipe::DrainPipe;
pub(crate) use fill_pipe::FillPipe;
pub(crate) use open_socket::OpenSocket;
pub(crate) use peek::Peek;
pub(crate) use readable::Readable;
pub(crate) use recv::{Recv, RecvExact};
pub(crate) use recv_lease::RecvLease;
pub(crate) use send::{SendAll, SendOnce, SendVectored};
pub(crate) use send_zero_copy::{SendZeroCopy, Unsent};
pub(crate) use socket::Socket;
pub(crate) use timeout::KernelTimeout;

use crate::driver::{Driver, Key, Orphan};
use crate::sys::errno::ECANCELED;
use crate::sys::{Completion, Submission};
use crate::task::budget;

/// What a completion leads to.
pub(crate) enum Step<O: Operation> {
    /// The operation is over.
    Done(O::Output),
    /// It takes another entry.
    Again(O),
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

    /// Does the next step by a system call; `None` if it would have to wait.
    fn attempt(&mut self) -> Option<Completion> {
        None
    }

    /// Takes the completion of a step.
    fn complete(self, completion: Completion) -> Step<Self>;

    /// The future is gone; the completion is still to come, and will be given to
    /// [`settle`](Self::settle).
    fn leave(&mut self) {}

    /// Disposes of the completion that came after the future had gone.
    fn settle(self, completion: Completion);
}

/// The future of an operation.
pub(crate) struct Op<O: Operation> {
    driver: Rc<Driver>,
    /// `None` once it is over.
    operation: Option<O>,
    /// The slot, while the operation is in flight.
    key: Option<Key>,
}

impl<O: Operation> Op<O> {
    pub(crate) fn new(driver: &Rc<Driver>, operation: O) -> Self {
        Self { driver: Rc::clone(driver), operation: Some(operation), key: None }
    }

    /// Asks the kernel to end the operation, if it is in flight. Its outcome still comes here.
    pub(crate) fn cancel(&self) {
        if let Some(key) = self.key {
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
    fn attempt(&mut self) -> Option<Completion> {
        let operation = self.operation.as_mut().expect("an operation was polled after its end");
        let may = operation.is_worth_attempting(&self.driver)
            && self.driver.may_go_direct()
            && budget::try_spend();
        let completion = if may { operation.attempt() } else { None };
        if let Some(completion) = completion {
            self.driver.note_direct(completion.result().unwrap_or(0) as usize);
        }
        completion
    }

    fn submit(&mut self, context: &Context<'_>) -> Option<Key> {
        let operation = self.operation.as_mut().expect("an operation was polled after its end");
        let (entry, timeout) = (operation.entry(), operation.linked_timeout());
        let waker = context.waker();
        // SAFETY: the operation owns what the entries point to. It is kept here until the
        // completion has been taken, or abandoned to the driver in `drop`.
        unsafe {
            match timeout {
                None => self.driver.submit(entry, waker),
                Some(timeout) => self.driver.submit_with_timeout(entry, timeout, waker),
            }
        }
    }
}

impl<O: Operation> Unpin for Op<O> {}

impl<O: Operation> Future for Op<O> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O::Output> {
        // Between two polls, what has begun is in flight.
        if self.key.is_none() {
            if let Some(output) = ready!(self.poll_before(context)) {
                return Poll::Ready(output);
            }
        }
        loop {
            let completion = match self.key {
                Some(key) => {
                    let completion = ready!(self.driver.poll(key, context.waker()));
                    self.key = None;
                    completion
                }
                None => match self.attempt() {
                    Some(completion) => completion,
                    None => {
                        self.key = self.submit(context);
                        if self.key.is_some() {
                            return Poll::Pending;
                        }
                        Completion::failed(ECANCELED)
                    }
                },
            };
            let operation = self.operation.take().expect("an operation in flight is not over");
            match operation.complete(completion) {
                Step::Done(output) => return Poll::Ready(output),
                Step::Again(operation) => self.operation = Some(operation),
            }
        }
    }
}

impl<O: Operation> Drop for Op<O> {
    fn drop(&mut self) {
        let (Some(key), Some(mut operation)) = (self.key, self.operation.take()) else { return };
        operation.leave();
        match self.driver.try_take(key) {
            Some(completion) => operation.settle(completion),
            None => self.driver.abandon(key, Box::new(Left(Some(operation)))),
        }
    }
}

/// An operation whose future is gone.
struct Left<O>(Option<O>);

impl<O: Operation> Orphan for Left<O> {
    fn settle(&mut self, completion: Completion) {
        if let Some(operation) = self.0.take() {
            operation.settle(completion);
        }
    }
}

/// The length of a buffer, as entries carry it. The kernel moves at most 2 GiB at once; more is
/// left for the next step.
fn entry_length(length: usize) -> u32 {
    const MOST: usize = 0x7fff_f000;
    length.min(MOST) as u32
}
