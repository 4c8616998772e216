//! The cell that holds a primitive's state: a `RefCell` within one thread, a `Mutex` across
//! threads.
//!
//! Cloning, waking and dropping a waker is foreign code, as are destructors of values: they may use
//! the very primitive that is at work, or panic. So a state is only accessible for a moment in
//! which no foreign code runs, and what such code may have changed is looked at again afterwards.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

pub(super) trait StateCell {
    type State;

    /// Runs `work` with exclusive access to the state. `work` runs no foreign code.
    fn with<R>(&self, work: impl FnOnce(&mut Self::State) -> R) -> R;
}

impl<S> StateCell for RefCell<S> {
    type State = S;

    fn with<R>(&self, work: impl FnOnce(&mut S) -> R) -> R {
        work(&mut self.borrow_mut())
    }
}

impl<S> StateCell for Mutex<S> {
    type State = S;

    fn with<R>(&self, work: impl FnOnce(&mut S) -> R) -> R {
        // A poisoned state is sound: nothing that panics runs with the mutex locked.
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits until `look` finds something, where at most one task waits: `waker_of` is the place in the
/// state for its waker. Code that changes the state takes the waker from there and wakes it.
pub(super) fn poll_single<C: StateCell, T>(
    cell: &C,
    context: &Context<'_>,
    waker_of: impl Fn(&mut C::State) -> &mut Option<Waker>,
    mut look: impl FnMut(&mut C::State) -> Option<T>,
) -> Poll<T> {
    let (found, is_registered) = cell.with(|state| {
        let found = look(state);
        let present = waker_of(state).as_ref();
        (found, present.is_some_and(|waker| waker.will_wake(context.waker())))
    });
    if let Some(found) = found {
        return Poll::Ready(found);
    }
    if is_registered {
        return Poll::Pending;
    }
    let waker = context.waker().clone();
    let (former, found) = cell.with(|state| (waker_of(state).replace(waker), look(state)));
    drop(former);
    found.map_or(Poll::Pending, Poll::Ready)
}
