//! The future of an operation: it submits each step, or does it by an inline call, and waits.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::check_loop::check_loop;
use super::operation::{Operation, Step};
use super::orphan::{keep_until_notified, orphan};
use super::socket::SendRoom;
use crate::driver::{Driver, Key};
use crate::sys::Completion;
use crate::sys::errno::{EAGAIN, ECANCELED, EINTR};
use crate::task::coop;
use crate::trace::OperationSpan;

/// The future of an operation.
pub(crate) struct Op<O: Operation> {
    driver: Rc<Driver>,
    /// `None` once it is over.
    operation: Option<O>,
    stage: Stage,
    /// From the SQE of a step to its completion.
    span: OperationSpan,
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
        let driver = Rc::clone(driver);
        let span = OperationSpan::none();
        Self { driver, operation: Some(operation), stage: Stage::Nothing, span }
    }

    /// Returns the operation, which has not begun.
    ///
    /// # Panics
    ///
    /// If it has.
    #[track_caller]
    pub(crate) fn into_operation(mut self) -> O {
        let has_begun = !matches!(self.stage, Stage::Nothing);
        match self.operation.take() {
            Some(operation) if !has_begun => operation,
            operation => {
                self.operation = operation;
                panic!("the operation has begun: link what follows before the future is polled");
            }
        }
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
        self.span.begin(submission.get_opcode());
        let feeds_device = O::MAY_BE_ON_DEVICE && operation.feeds_device();
        let waker = context.waker();
        // SAFETY: the operation owns what the SQEs point to. It is kept here until the completion
        // has been taken, or by the driver (`drop`). The kernel does not write to it after that
        // (`uring-sys-tests`, freed_buffer_never_written). Its keeper is kept by the driver until
        // the notification (zero_copy_two_completions).
        let key = unsafe {
            if O::NOTIFIES {
                self.driver.submit_with_notification(submission)
            } else {
                self.driver.submit(submission, timeout, waker)
            }
        };
        if feeds_device {
            self.driver.feed_device();
        }
        key
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
            Some(EINTR) if is_cancelled && O::REPEATS_INTERRUPTED => {
                operation.complete(Completion::failed(ECANCELED))
            }
            Some(EINTR) if O::REPEATS_INTERRUPTED => {
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
                    self.span.end();
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
            Stage::Room(mut room) => {
                if let Some(socket) = self.operation.as_ref().and_then(O::sends_on) {
                    room.stop(socket);
                }
            }
            Stage::Step(key) | Stage::Cancelled(key) => {
                if let Some(operation) = self.operation.take() {
                    orphan(&self.driver, key, operation);
                }
            }
        }
    }
}
