//! The bounded queue of calls, which handles fill.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::SpawnError;
use crate::error::{Incident, IncidentHook};
use crate::sys::fork::Generation;
use crate::task::{Executor, Notifier, Shrink};

/// The main task is to be cancelled.
const STOP: u8 = 1;
/// It was to be, at any time.
const WAS_STOPPED: u8 = 2;

/// A call in the queue.
pub(super) trait Queued: Send + Sync {
    /// Makes a task of it, on the owner's thread. Drops the guard at the task's first poll.
    fn start(self: Arc<Self>, executor: &Executor, unpolled: UnpolledGuard);

    /// The runtime ends before the task has begun. Runs foreign code, and catches its panics.
    fn refuse(&self);
}

/// What handles share with the runtime.
pub(in crate::runtime) struct CallQueue {
    state: Mutex<State>,
    max: usize,
    /// [`STOP`] and [`WAS_STOPPED`].
    stops: AtomicU8,
    notifier: Notifier,
    incidents: IncidentHook,
    /// The process of the runtime. A forked child must not lock anything here: another thread of
    /// the parent may have held the lock.
    process: Generation,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Arc<dyn Queued>>,
    is_closed: bool,
}

impl CallQueue {
    pub(in crate::runtime) fn new(
        max: usize,
        notifier: Notifier,
        incidents: IncidentHook,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            max,
            stops: AtomicU8::new(0),
            notifier,
            incidents,
            process: Generation::of_this_process(),
        })
    }

    /// Runs `work` with the state locked. It runs no foreign code.
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Queues a call, and has the owner look.
    pub(super) fn push(&self, call: Arc<dyn Queued>) -> Result<(), SpawnError<()>> {
        if self.is_forked() {
            return Err(SpawnError::Ended(()));
        }
        self.with(|state| {
            if state.is_closed {
                return Err(SpawnError::Ended(()));
            }
            if state.calls.len() >= self.max {
                return Err(SpawnError::Full(()));
            }
            state.calls.push_back(call);
            Ok(())
        })?;
        self.notifier.notify();
        Ok(())
    }

    /// Has the main task cancelled.
    pub(in crate::runtime) fn stop(&self) {
        if !self.is_forked() {
            // Relaxed: the notification makes it visible.
            self.stops.store(STOP | WAS_STOPPED, Ordering::Relaxed);
            self.notifier.notify();
        }
    }

    /// Whether [`stop`](Self::stop) was called since this last returned `true`.
    pub(super) fn take_stop(&self) -> bool {
        let is_stop = |stops| stops & STOP != 0;
        is_stop(self.stops.load(Ordering::Relaxed))
            && is_stop(self.stops.fetch_and(!STOP, Ordering::Relaxed))
    }

    /// Whether [`stop`](Self::stop) was ever called.
    pub(in crate::runtime) fn was_stopped(&self) -> bool {
        self.stops.load(Ordering::Relaxed) & WAS_STOPPED != 0
    }

    pub(in crate::runtime) fn is_ended(&self) -> bool {
        self.is_forked() || self.with(|state| state.is_closed)
    }

    /// Whether this process was forked from that of the runtime.
    pub(in crate::runtime) fn is_forked(&self) -> bool {
        !self.process.is_present()
    }

    /// Whether this is the thread of the runtime.
    pub(super) fn is_own(&self) -> bool {
        self.notifier.is_owners()
    }

    /// Call this before waiting for a task of the runtime.
    ///
    /// # Panics
    ///
    /// If this is the runtime's thread, and inside of another runtime.
    #[track_caller]
    pub(super) fn check_wait(&self) {
        self.notifier.check_wait("this task");
    }

    pub(super) fn report(&self, incident: &Incident) {
        (self.incidents)(incident);
    }

    /// Moves the oldest calls, at most `count`, to a list. Returns whether there are more.
    pub(super) fn take(&self, count: usize, calls: &mut Vec<Arc<dyn Queued>>) -> bool {
        self.with(|state| {
            let count = count.min(state.calls.len());
            calls.extend(state.calls.drain(..count));
            state.calls.shrink();
            !state.calls.is_empty()
        })
    }

    /// Refuses further calls. Returns those that have not begun.
    pub(super) fn close(&self) -> VecDeque<Arc<dyn Queued>> {
        self.with(|state| {
            state.is_closed = true;
            std::mem::take(&mut state.calls)
        })
    }
}

/// How many tasks were made of calls and have not been polled yet.
#[derive(Clone, Default)]
pub(super) struct Unpolled(Rc<Cell<usize>>);

/// Until it is dropped, a task has not been polled.
pub(super) struct UnpolledGuard(Unpolled);

impl Unpolled {
    pub(super) fn count(&self) -> usize {
        self.0.get()
    }

    pub(super) fn add(&self) -> UnpolledGuard {
        self.0.set(self.0.get() + 1);
        UnpolledGuard(self.clone())
    }
}

impl Drop for UnpolledGuard {
    fn drop(&mut self) {
        let UnpolledGuard(Unpolled(count)) = self;
        count.set(count.get() - 1);
    }
}
