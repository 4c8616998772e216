//! What a remote task shares with its handle.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::queue::CallQueue;
use crate::error::{Incident, catch_panic, panic_message};
use crate::task::JoinError;

pub(super) struct Outcome<T> {
    pub(super) queue: Arc<CallQueue>,
    pub(super) name: Option<Arc<str>>,
    pub(super) spawned_at: &'static Location<'static>,
    state: Mutex<State<T>>,
    /// Set with the state locked, and while the stage is `Running`. The task reads it at each poll.
    is_cancelled: AtomicBool,
}

struct State<T> {
    stage: Stage<T>,
    /// The waker of the task, once it waits. Woken when the task is cancelled.
    task: Option<Waker>,
}

enum Stage<T> {
    /// The task has not ended. Holds the waker of what polled the handle last.
    Running(Option<Waker>),
    /// The task has ended, and the handle has not taken the result.
    Ended(Result<T, JoinError>),
    /// The handle has taken the result, or was dropped.
    Detached,
}

impl<T> Outcome<T> {
    pub(super) fn new(
        queue: Arc<CallQueue>,
        name: Option<Arc<str>>,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        let state = State { stage: Stage::Running(None), task: None };
        Self { queue, name, spawned_at, state: Mutex::new(state), is_cancelled: false.into() }
    }

    /// Runs `work` with the state locked. It runs no foreign code.
    fn with<R>(&self, work: impl FnOnce(&mut State<T>) -> R) -> R {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    // The task's end:

    /// Whether the handle has cancelled the task, which must end instead of its next poll.
    pub(super) fn is_cancelled(&self) -> bool {
        // Relaxed: a cancel that is noticed late wakes the task once more.
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Stores the waker of the task, which is not foreign code. Returns whether the task was
    /// cancelled before.
    pub(super) fn watch(&self, task: &Waker) -> bool {
        self.with(|state| {
            state.task = Some(task.clone());
            self.is_cancelled()
        })
    }

    /// The task has ended. Runs foreign code, and catches its panics.
    pub(super) fn end(&self, result: Result<T, JoinError>) {
        let (task, joiner, unjoined) = self.with(|state| {
            let task = state.task.take();
            match &mut state.stage {
                Stage::Running(joiner) => {
                    let joiner = joiner.take();
                    state.stage = Stage::Ended(result);
                    (task, joiner, None)
                }
                Stage::Ended(_) | Stage::Detached => (task, None, Some(result)),
            }
        });
        drop(task);
        if let Some(joiner) = joiner {
            self.catching_panics(|| joiner.wake());
        }
        if let Some(result) = unjoined {
            self.discard(result);
        }
    }

    // The handle's end:

    pub(super) fn is_finished(&self) -> bool {
        self.queue.is_forked() || self.with(|state| !matches!(state.stage, Stage::Running(_)))
    }

    /// Has the task dropped instead of polled. Returns `false` if it has ended.
    pub(super) fn cancel(&self) -> bool {
        if self.queue.is_forked() {
            return false;
        }
        let task = self.with(|state| {
            let Stage::Running(_) = state.stage else { return None };
            self.is_cancelled.store(true, Ordering::Relaxed);
            Some(state.task.take())
        });
        let is_running = task.is_some();
        // Without a waker the task has not begun to wait, and sees the flag before it does.
        task.flatten().into_iter().for_each(Waker::wake);
        is_running
    }

    /// Waits for the end, and takes the result. Not called again afterwards.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Result<T, JoinError>> {
        if self.queue.is_forked() {
            return Poll::Ready(Err(JoinError::Ended));
        }
        if let Some(result) = self.with(State::take) {
            return Poll::Ready(result);
        }
        // Cloning and dropping a waker is foreign code, which may even end the task.
        let waker = context.waker().clone();
        let (result, unused) = self.with(|state| match state.take() {
            Some(result) => (Some(result), Some(waker)),
            None => (None, state.set_joiner(waker)),
        });
        drop(unused);
        result.map_or(Poll::Pending, Poll::Ready)
    }

    /// The handle was dropped.
    pub(super) fn detach(&self) {
        // In a forked child the lock may be held for ever.
        if self.queue.is_forked() {
            return;
        }
        match self.with(|state| std::mem::replace(&mut state.stage, Stage::Detached)) {
            Stage::Running(joiner) => self.catching_panics(|| drop(joiner)),
            Stage::Ended(result) => self.discard(result),
            Stage::Detached => {}
        }
    }

    /// Drops a result that no handle takes. A panic becomes an incident.
    fn discard(&self, result: Result<T, JoinError>) {
        if let Err(JoinError::Panicked(payload)) = &result {
            self.queue.report(&Incident::TaskPanicked {
                task: self.name.clone(),
                spawned_at: self.spawned_at,
                message: panic_message(&**payload),
            });
        }
        self.catching_panics(|| drop(result));
    }

    /// Runs foreign code. A panic in it becomes an incident and goes no further.
    fn catching_panics(&self, foreign: impl FnOnce()) {
        if let Some(message) = catch_panic(foreign) {
            self.queue.report(&Incident::CallbackPanicked { message });
        }
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        match std::mem::replace(&mut self.stage, Stage::Detached) {
            Stage::Ended(result) => Some(result),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// Returns the waker that is not needed, to be dropped: the former one, or this one.
    fn set_joiner(&mut self, waker: Waker) -> Option<Waker> {
        match &mut self.stage {
            Stage::Running(joiner) => joiner.replace(waker),
            Stage::Ended(_) | Stage::Detached => Some(waker),
        }
    }
}
