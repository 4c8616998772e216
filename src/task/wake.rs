//! Leaving and waking wakers, which are foreign code.
//!
//! Cloning a waker, and dropping the one that was there before, may change the very thing that is
//! waited for, and finds no waker to wake then. So the order is always the same: look, clone, store,
//! drop the former one, look again.
//!
//! Waking may panic. That is not the affair of the task that happens to wake, so it goes no further.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use super::current::with_current;
use super::waker;
use crate::error::{Incident, catch_panic};

/// Wakes. A panic of the waker becomes an incident of the runtime whose task runs on this thread.
/// Outside of a task only the panic hook has seen it.
#[inline]
pub(crate) fn wake(waker: Waker) {
    if waker::is_of_a_task(&waker) {
        // Not foreign code: no waker of a task panics.
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

/// Waits until `look` finds something. `store` keeps the waker and returns the one that it replaces.
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

/// A place for the waker of one who waits.
#[derive(Default)]
pub(crate) struct WakeSlot(Cell<Option<Waker>>);

impl WakeSlot {
    /// Waits until `look` finds something, after which [`wake`](Self::wake) is called.
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

    /// Wakes the one who waits, if there is one.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            wake(waker);
        }
    }

    /// Takes the waker away, if there is one.
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
