//! The first kind of operation: one completion, or several steps of one completion each.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::check_loop::check_loop;
use super::drain::Draining;
use super::socket::{SendRoom, SocketFd};
use crate::driver::{Driver, Key, Orphan};
use crate::sys::errno::{EAGAIN, ECANCELED, EINTR};
use crate::sys::{Completion, Submission};
use crate::task::coop;

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
    /// A step, in this slot.
    Step(Key),
    /// A step that has been cancelled and is not to be repeated.
    Cancelled(Key),
    /// The poll of a wait for room to send.
    Room(SendRoom),
}

impl<O: Operation> Op<O> {
    pub(crate) fn new(driver: &Rc<Driver>, operation: O) -> Self {
        Self { driver: Rc::clone(driver), operation: Some(operation), stage: Stage::Nothing }
    }

    /// Cancels the step that is in flight, if one is. Its outcome still comes here, and is
    /// `ECANCELED` if there is none.
    pub(crate) fn cancel(&mut self) {
        if let Stage::Step(key) = self.stage {
            self.driver.cancel(key);
            self.stage = Stage::Cancelled(key);
        }
    }

    fn poll_ready(&mut self, context: &Context<'_>) -> Poll<Option<O::Output>> {
        let operation = self.operation.as_ref().expect("an operation was polled after its end");
        let known = ready!(operation.poll_ready(context));
        if known.is_some() {
            self.operation = None;
        }
        Poll::Ready(known)
    }

    /// Does the next step by an inline call, if that is likely to succeed and cheaper. A task that
    /// has used up its budget submits, and waits: so an operation that has begun is always in
    /// flight between two polls, and what it has received is put back if it is dropped.
    // In `poll` and, out of line, in `poll_room`.
    #[inline(always)]
    fn try_inline(&mut self, has_room: bool) -> Option<Completion> {
        let operation = self.operation.as_mut().expect("an operation was polled after its end");
        let may = (has_room || operation.prefers_inline(&self.driver))
            && self.driver.may_run_inline()
            && coop::try_spend();
        let completion = if may { operation.try_inline() } else { None };
        if let Some(completion) = completion.filter(|completion| !completion.failed_with(EAGAIN)) {
            self.driver.note_inline_call(completion.result().unwrap_or(0) as usize);
        }
        completion
    }

    /// Waits until the socket has room, and then makes an inline call, if there is a descriptor for
    /// it. Without one the next step is an SQE; if the wait has failed, that is the step's
    /// completion.
    #[inline(never)]
    fn poll_room(&mut self, context: &Context<'_>) -> Poll<Option<Completion>> {
        let Stage::Room(room) = &mut self.stage else { return Poll::Ready(None) };
        let socket = self.operation.as_ref().and_then(O::sends_on);
        let socket = socket.expect("only an operation that sends waits for room");
        let report = ready!(room.poll(socket, context));
        let has_fd = socket.descriptor().fd_if_open().is_some();
        self.stage = Stage::Nothing;
        Poll::Ready(if report.errno().is_some() { Some(report) } else { self.try_inline(has_fd) })
    }

    fn submit(&mut self, context: &Context<'_>) -> Option<Key> {
        let operation = self.operation.as_mut().expect("an operation was polled after its end");
        let (submission, timeout) = (operation.submission(), operation.linked_timeout());
        let waker = context.waker();
        // SAFETY: the operation owns what the SQEs point to. It is kept here until the completion
        // has been taken, or by the driver (`drop`). Its keeper is kept by the driver until the
        // notification.
        unsafe {
            if O::NOTIFIES {
                self.driver.submit_with_notification(submission)
            } else {
                self.driver.submit(submission, timeout, waker)
            }
        }
    }

    /// Takes the completion of the step in a slot.
    #[inline]
    fn poll_step(&mut self, key: Key, context: &Context<'_>) -> Poll<Completion> {
        if !O::NOTIFIES {
            return self.driver.poll(key, context.waker());
        }
        let result = ready!(self.driver.poll_next(key, context.waker()));
        let result = result.expect("the result comes before the end");
        let operation = self.operation.as_ref().expect("an operation in flight is not over");
        keep_until_notified(&self.driver, key, operation, result);
        Poll::Ready(result)
    }

    /// Takes the completion of a step, and returns the output if it was the last step.
    #[inline]
    fn advance(&mut self, completion: Completion, is_cancelled: bool) -> Option<O::Output> {
        let mut operation = self.operation.take().expect("an operation in flight is not over");
        let step = match completion.errno() {
            Some(EINTR) if is_cancelled => operation.complete(Completion::failed(ECANCELED)),
            Some(EINTR) => {
                operation.interrupted(completion);
                Step::Again(operation)
            }
            Some(EAGAIN) if operation.sends_on().is_some() => Step::NoRoom(operation),
            _ => operation.complete(completion),
        };
        match step {
            Step::Done(output) => return Some(output),
            Step::Again(operation) => self.operation = Some(operation),
            Step::NoRoom(operation) => {
                let socket = operation.sends_on().expect("only an operation that sends lacks room");
                self.stage = Stage::Room(SendRoom::awaited(socket));
                self.operation = Some(operation);
            }
        }
        None
    }

    /// The future is gone while a step has this slot.
    fn orphan(&mut self, key: Key) {
        let Some(operation) = self.operation.take() else { return };
        // Dropped at the end, or with the orphan.
        let draining = operation.on_orphaned();
        let driver = &self.driver;
        let completion = if O::NOTIFIES { driver.try_next(key) } else { driver.try_take(key) };
        if let Some(completion) = completion {
            if O::NOTIFIES {
                keep_until_notified(driver, key, &operation, completion);
            }
            return operation.settle(completion);
        }
        let keeper = operation.keeper();
        let orphan = Box::new(Orphaned { operation: Some(operation), _draining: draining });
        match keeper {
            None if O::MAY_BE_ON_DEVICE => driver.orphan_on_device(key, orphan),
            None => driver.orphan(key, orphan),
            Some(keeper) => driver.orphan_until_notified(key, orphan, keeper),
        }
    }
}

/// The result of an operation that notifies has come: its slot keeps the memory until the
/// notification, if one follows.
fn keep_until_notified<O: Operation>(driver: &Driver, key: Key, operation: &O, result: Completion) {
    if result.more() {
        driver.orphan_after_result(
            key,
            operation.keeper().expect("an operation that notifies has a keeper"),
        );
    } else {
        driver.free_ended(key);
    }
}

impl<O: Operation> Unpin for Op<O> {}

impl<O: Operation> Future for Op<O> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O::Output> {
        check_loop(&self.driver);
        // Between two polls, an operation that has begun is in flight.
        if let Stage::Nothing = self.stage {
            if let Some(output) = ready!(self.poll_ready(context)) {
                return Poll::Ready(output);
            }
        }
        loop {
            let mut is_cancelled = false;
            let completion = match self.stage {
                Stage::Step(key) | Stage::Cancelled(key) => {
                    let completion = ready!(self.poll_step(key, context));
                    is_cancelled = matches!(self.stage, Stage::Cancelled(_));
                    self.stage = Stage::Nothing;
                    Some(completion)
                }
                Stage::Room(_) => ready!(self.poll_room(context)),
                Stage::Nothing => self.try_inline(false),
            };
            let completion = match completion {
                Some(completion) => completion,
                None => match self.submit(context) {
                    Some(key) => {
                        self.stage = Stage::Step(key);
                        if O::NOTIFIES {
                            // Its slot does not have the waker yet.
                            continue;
                        }
                        return Poll::Pending;
                    }
                    None => Completion::failed(ECANCELED),
                },
            };
            if let Some(output) = self.advance(completion, is_cancelled) {
                return Poll::Ready(output);
            }
        }
    }
}

impl<O: Operation> Drop for Op<O> {
    fn drop(&mut self) {
        match mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Nothing => {}
            Stage::Room(mut room) => room.stop(&self.driver),
            Stage::Step(key) | Stage::Cancelled(key) => self.orphan(key),
        }
    }
}

/// An operation whose future is gone.
struct Orphaned<O> {
    operation: Option<O>,
    _draining: Option<Draining>,
}

impl<O: Operation> Orphan for Orphaned<O> {
    fn settle(&mut self, completion: Completion) {
        if let Some(operation) = self.operation.take() {
            operation.settle(completion);
        }
    }
}

/// The length of a buffer as an SQE carries it. The kernel moves at most 2 GiB at once; what is
/// beyond is left for the next step.
pub(super) fn sqe_length(length: usize) -> u32 {
    const MAX_TRANSFER: usize = 0x7fff_f000;
    length.min(MAX_TRANSFER) as u32
}
