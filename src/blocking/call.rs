//! What a closure on a thread shares with its handle, and where its outcome goes.

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
use crate::task::coop;

/// Why a closure on a thread has no output.
#[non_exhaustive]
pub enum ThreadError {
    /// The closure panicked. This is the payload, for [`std::panic::resume_unwind`].
    Panicked(Box<dyn Any + Send + 'static>),
    /// The closure has not run: the pool has no thread, and the system refused to start one.
    NotStarted(io::Error),
}

impl fmt::Display for ThreadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => write!(f, "closure panicked: {}", panic_message(&**payload)),
            Self::NotStarted(error) => write!(f, "cannot start a thread for the closure: {error}"),
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

/// The system's error if no thread could be started. Of a panic, only the text is kept.
impl From<ThreadError> for io::Error {
    fn from(error: ThreadError) -> Self {
        match error {
            // An error's source must be `Sync`, and the payload of a panic need not be.
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
    /// The closure has not ended. Holds the waker of the handle's task.
    Running(Option<Waker>),
    /// The closure has ended, and the handle has not taken the outcome.
    Ended(Result<T, ThreadError>),
    /// The handle has taken the outcome, or was dropped.
    Detached,
}

impl<T> Call<T> {
    #[track_caller]
    pub(super) fn new(incidents: IncidentHook) -> Self {
        let stage = Mutex::new(Stage::Running(None));
        Self { stage, spawned_at: Location::caller(), incidents }
    }

    fn lock(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().expect("no code that may panic runs under this lock")
    }

    /// Runs the closure, on a thread of the pool.
    pub(super) fn run(&self, closure: impl FnOnce() -> T) {
        self.end(catch_unwind(AssertUnwindSafe(closure)).map_err(ThreadError::Panicked));
    }

    /// Notes that no thread could be started to run the closure.
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

    /// Drops an outcome whose handle was dropped. A failure becomes an incident.
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

    /// Runs foreign code. A panic in it becomes an incident and goes no further.
    fn catch_panic(&self, foreign: impl FnOnce()) {
        if let Some(message) = catch_panic(foreign) {
            (self.incidents)(&Incident::CallbackPanicked { message });
        }
    }
}

/// A closure on a thread.
///
/// Awaited, it returns the closure's output. Dropped, it detaches the closure.
///
/// Made by [`to_thread`](super::to_thread) and [`ThreadPool::spawn`](super::ThreadPool::spawn).
#[must_use = "dropped, the handle drops the output"]
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
        ready!(coop::poll_spend(context));
        let taken = mem::replace(&mut *self.call.lock(), Stage::Detached);
        let Stage::Ended(outcome) = taken else {
            panic!("`ThreadHandle` was polled after completion")
        };
        Poll::Ready(outcome)
    }
}

impl<T> Drop for ThreadHandle<T> {
    fn drop(&mut self) {
        let left = mem::replace(&mut *self.call.lock(), Stage::Detached);
        match left {
            Stage::Ended(outcome) => self.call.discard(outcome),
            Stage::Running(waker) => drop(waker),
            Stage::Detached => {}
        }
    }
}

impl<T> fmt::Debug for ThreadHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadHandle").field("finished", &self.is_finished()).finish()
    }
}
