//! A closure on its way to another shard, and its outcome on the way back: one box for both.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{catch_panic, discard, panic_message};
use crate::task::JoinError;

/// A closure or its outcome, for code that knows the type of neither.
pub(super) trait Work: Send {
    /// Calls the closure and keeps what it returns, or its panic.
    fn run(&mut self);

    /// For the caller, which knows the type.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;

    /// Takes the payload of the closure's panic.
    fn take_panic(&mut self) -> Option<Box<dyn Any + Send>>;
}

/// A closure with its outcome. A vacant one has neither any more.
pub(super) enum Closure<F, T> {
    Waiting(F),
    Done(Result<T, JoinError>),
    Vacant,
}

impl<F, T> Closure<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// The outcome, in the box that `run` has filled.
    pub(super) fn outcome(work: Box<dyn Work>) -> Result<T, JoinError> {
        let closure = work.into_any().downcast::<Self>();
        match *closure.expect("a box returns to the caller that made it") {
            Self::Done(outcome) => outcome,
            Self::Waiting(_) | Self::Vacant => unreachable!("an answer is a box that has been run"),
        }
    }
}

impl<F, T> Work for Closure<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn run(&mut self) {
        if let Self::Waiting(closure) = mem::replace(self, Self::Vacant) {
            *self = Self::Done(call(closure));
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn take_panic(&mut self) -> Option<Box<dyn Any + Send>> {
        match mem::replace(self, Self::Vacant) {
            Self::Done(Err(JoinError::Panicked(payload))) => Some(payload),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// Calls a closure; a panic becomes its outcome.
pub(super) fn call<T>(closure: impl FnOnce() -> T) -> Result<T, JoinError> {
    catch_unwind(AssertUnwindSafe(closure)).map_err(JoinError::Panicked)
}

/// Drops what no caller awaits, which is foreign code. Returns the message of a panic: the
/// closure's, or the drop's.
pub(super) fn discard_work(mut work: Box<dyn Work>) -> Option<String> {
    let message = work.take_panic().map(|payload| {
        let message = panic_message(&*payload);
        discard(payload);
        message
    });
    let dropped = catch_panic(|| drop(work));
    message.or(dropped)
}

/// Work in a queue, and the number of its call at the sender.
pub(super) struct Parcel {
    pub(super) call: usize,
    /// `None` only while this is dropped or taken apart.
    work: Option<Box<dyn Work>>,
}

impl Parcel {
    pub(super) fn new(call: usize, work: Box<dyn Work>) -> Self {
        Self { call, work: Some(work) }
    }

    pub(super) fn run(&mut self) {
        if let Some(work) = &mut self.work {
            work.run();
        }
    }

    pub(super) fn into_work(mut self) -> Box<dyn Work> {
        self.work.take().expect("a parcel has its work until it is taken apart")
    }
}

/// Whichever thread drops what is left in a queue, no destructor's panic goes further: what is
/// behind it in the queue is dropped, too.
impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            // The panic hook has printed it.
            drop(discard_work(work));
        }
    }
}
