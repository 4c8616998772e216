//! Where the state of a primitive is kept: in a cell, for the tasks of one thread, or in a mutex.
//!
//! Cloning, waking and dropping a waker is foreign code, as are destructors of values: they may call
//! the very primitive that is at work, or panic. So a state is only ever lent for a moment in which no
//! such code runs, and what it may have changed is looked at again afterwards.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

pub(super) trait StateCell {
    type State;

    /// Lends the state. `work` runs no foreign code.
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
        // Nothing that panics runs in there.
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits until `look` finds something, where one alone can wait: its waker is left in a slot, for
/// whoever changes the state to take and wake.
pub(super) fn poll_single<C: StateCell, T>(
    cell: &C,
    context: &Context<'_>,
    slot: impl Fn(&mut C::State) -> &mut Option<Waker>,
    mut look: impl FnMut(&mut C::State) -> Option<T>,
) -> Poll<T> {
    let (found, is_there) = cell.with(|state| {
        let found = look(state);
        (found, slot(state).as_ref().is_some_and(|waker| waker.will_wake(context.waker())))
    });
    if let Some(found) = found {
        return Poll::Ready(found);
    }
    if is_there {
        return Poll::Pending;
    }
    let waker = context.waker().clone();
    let (former, found) = cell.with(|state| (slot(state).replace(waker), look(state)));
    drop(former);
    found.map_or(Poll::Pending, Poll::Ready)
}
