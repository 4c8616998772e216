//! What a closure on a thread shares with its handle, and what becomes of its outcome.

use std::any::Any;
use std::error;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use crate::error::{Incident, IncidentHook, catch_panic, panic_message};
use crate::task::budget;

/// Why a closure on a thread has no output.
pub enum ThreadError {
    /// It panicked; this is the panic's payload, for [`std::panic::resume_unwind`].
    Panicked(Box<dyn Any + Send + 'static>),
    /// It has not run, since there is no thread and the system lets start none.
    NotStarted(io::Error),
}

impl fmt::Display for ThreadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => write!(f, "closure panicked: {}", panic_message(&**payload)),
            Self::NotStarted(error) => write!(f, "failed to start a thread: {error}"),
        }
    }
}

impl fmt::Debug for ThreadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => {
                f.debug_tuple("Panicked").field(&panic_message(&**payload)).finish()
            }
            Self::NotStarted(error) => f.debug_tuple("NotStarted").field(error).finish(),
        }
    }
}

impl error::Error for ThreadError {}

/// The system's error if no thread could be started. Of a panic, the text is kept.
impl From<ThreadError> for io::Error {
    fn from(error: ThreadError) -> Self {
        match error {
            // The payload of a panic need not be `Sync`, as an error's source must.
            ThreadError::Panicked(_) => Self::other(error.to_string()),
            ThreadError::NotStarted(error) => error,
        }
    }
}

/// What a closure and its handle share.
pub(super) struct Call<T> {
    stage: Mutex<Stage<T>>,
    spawned_at: &'static Location<'static>,
    incidents: IncidentHook,
}

enum Stage<T> {
    /// It has not ended; whom to wake.
    Running(Option<Waker>),
    /// It has ended, and the handle is there to take this.
    Ended(Result<T, ThreadError>),
    /// The handle has taken the outcome, or is gone.
    LetGo,
}

impl<T> Call<T> {
    #[track_caller]
    pub(super) fn new(incidents: IncidentHook) -> Self {
        let stage = Mutex::new(Stage::Running(None));
        Self { stage, spawned_at: Location::caller(), incidents }
    }

    fn lock(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().expect("nobody panics while holding this lock")
    }

    /// Runs the closure, on a thread of the pool.
    pub(super) fn run(&self, closure: impl FnOnce() -> T) {
        self.end(catch_unwind(AssertUnwindSafe(closure)).map_err(ThreadError::Panicked));
    }

    /// There is no thread to run the closure.
    pub(super) fn refuse(&self, error: io::Error) {
        self.end(Err(ThreadError::NotStarted(error)));
    }

    fn end(&self, outcome: Result<T, ThreadError>) {
        let mut stage = self.lock();
        if let Stage::Running(waker) = &mut *stage {
            let waker = waker.take();
            *stage = Stage::Ended(outcome);
            drop(stage);
            self.catch_panic(|| waker.map_or((), Waker::wake));
        } else {
            drop(stage);
            self.discard(outcome);
        }
    }

    /// Drops an outcome that nobody takes. A failure becomes an incident.
    fn discard(&self, outcome: Result<T, ThreadError>) {
        let spawned_at = self.spawned_at;
        match &outcome {
            Ok(_) => {}
            Err(ThreadError::Panicked(payload)) => (self.incidents)(&Incident::TaskPanicked {
                task: Some("in a thread".into()),
                spawned_at,
                message: panic_message(&**payload),
            }),
            Err(ThreadError::NotStarted(error)) => (self.incidents)(&Incident::ThreadNotStarted {
                spawned_at,
                message: error.to_string(),
            }),
        }
        self.catch_panic(|| drop(outcome));
    }

    /// Runs foreign code; a panic in it becomes an incident and goes no further.
    fn catch_panic(&self, foreign: impl FnOnce()) {
        if let Some(message) = catch_panic(foreign) {
            (self.incidents)(&Incident::CallbackPanicked { message });
        }
    }
}

/// A closure on a thread. Awaited, it gives the closure's output; dropped, it detaches the closure.
/// Made by [`to_thread`](super::to_thread).
#[must_use = "dropped, nobody hears of the output"]
pub struct ThreadHandle<T> {
    call: Arc<Call<T>>,
}

impl<T> ThreadHandle<T> {
    pub(super) fn new(call: Arc<Call<T>>) -> Self {
        Self { call }
    }

    /// Whether the closure has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(&*self.call.lock(), Stage::Running(_))
    }
}

impl<T> Future for ThreadHandle<T> {
    type Output = Result<T, ThreadError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = context.waker().clone();
        let mut stage = self.call.lock();
        if let Stage::Running(present) = &mut *stage {
            let old = present.replace(waker);
            drop(stage);
            drop(old);
            return Poll::Pending;
        }
        drop(stage);
        ready!(budget::poll_spend(context));
        let taken = mem::replace(&mut *self.call.lock(), Stage::LetGo);
        let Stage::Ended(outcome) = taken else {
            panic!("the outcome of this closure has been taken already")
        };
        Poll::Ready(outcome)
    }
}

impl<T> Drop for ThreadHandle<T> {
    fn drop(&mut self) {
        let left = mem::replace(&mut *self.call.lock(), Stage::LetGo);
        match left {
            Stage::Ended(outcome) => self.call.discard(outcome),
            Stage::Running(waker) => drop(waker),
            Stage::LetGo => {}
        }
    }
}

impl<T> fmt::Debug for ThreadHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadHandle").field("finished", &self.is_finished()).finish()
    }
}
