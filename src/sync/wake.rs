//! Waking several, which is foreign code: it may call back into what wakes.

use std::task::Waker;

use super::state_cell::StateCell;
use super::wait::HasWaiters;
use crate::task::wake;

/// Wakes one waker after another, as `next` hands them out. Nothing is borrowed while one is woken.
pub(super) fn wake_each(mut next: impl FnMut() -> Option<Waker>) {
    while let Some(waker) = next() {
        wake(waker);
    }
}

/// Wakes waiters that were notified together.
pub(super) fn wake_all<C: StateCell<State: HasWaiters>>(cell: &C, mut notified: Vec<Waker>) {
    let mut wakers = notified.drain(..);
    wake_each(|| wakers.next());
    drop(wakers);
    cell.with(|state| state.waiters().keep(notified));
}
