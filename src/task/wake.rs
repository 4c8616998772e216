//! Storing and waking wakers, which are foreign code.
//!
//! Cloning a waker, and dropping the one that was stored before, may make the awaited condition
//! true while no waker is stored to be woken. So the order is always the same: look, clone, store,
//! drop the former one, look again.
//!
//! A waker's panic is caught: it does not concern the task that happens to wake.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use super::current::with_current;
use super::waker;
use crate::error::{Incident, catch_panic};

/// Wakes. A panic of the waker becomes an incident of the current task's runtime; outside of a task
/// only the panic hook reports it.
#[inline]
pub(crate) fn wake(waker: Waker) {
    if waker::is_of_a_task(&waker) {
        // Not foreign code: a task's waker does not panic.
        waker.wake();
    } else {
        wake_foreign(waker);
    }
}

#[inline(never)]
fn wake_foreign(waker: Waker) {
    if let Some(message) = catch_panic(|| waker.wake()) {
        with_current(|header| header.scheduler().report(&Incident::CallbackPanicked { message }));
    }
}

/// Waits until `look` returns something. `store` stores the waker and returns the one it replaces.
pub(crate) fn poll_until<T>(
    context: &Context<'_>,
    mut look: impl FnMut() -> Option<T>,
    store: impl FnOnce(Waker) -> Option<Waker>,
) -> Poll<T> {
    if let Some(found) = look() {
        return Poll::Ready(found);
    }
    drop(store(context.waker().clone()));
    look().map_or(Poll::Pending, Poll::Ready)
}

/// Stores the waker of the one task that waits.
#[derive(Default)]
pub(crate) struct WakeSlot(Cell<Option<Waker>>);

impl WakeSlot {
    /// Waits until `look` returns something. [`wake`](Self::wake) must be called when it may.
    pub(crate) fn poll_until<T>(
        &self,
        context: &Context<'_>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        if self.holds(context.waker()) {
            return look().map_or(Poll::Pending, Poll::Ready);
        }
        poll_until(context, look, |waker| self.0.replace(Some(waker)))
    }

    /// Wakes the task that waits, if there is one.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            wake(waker);
        }
    }

    /// Takes the waker out, if there is one.
    pub(crate) fn take(&self) -> Option<Waker> {
        self.0.take()
    }

    fn holds(&self, waker: &Waker) -> bool {
        let present = self.0.take();
        let same = present.as_ref().is_some_and(|present| present.will_wake(waker));
        self.0.set(present);
        same
    }
}
