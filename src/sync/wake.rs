//! Waking several, which is foreign code: it may call back into what wakes.

use std::task::Waker;

use super::lend::Lend;
use super::turn::Waited;
use crate::task::wake;

/// Wakes one waker after another, as `next` hands them out. Nothing is borrowed while one is woken.
pub(super) fn wake_each(mut next: impl FnMut() -> Option<Waker>) {
    while let Some(waker) = next() {
        wake(waker);
    }
}

/// Wakes waiters that were called together.
pub(super) fn wake_all<L: Lend<State: Waited>>(lender: &L, mut called: Vec<Waker>) {
    let mut wakers = called.drain(..);
    wake_each(|| wakers.next());
    drop(wakers);
    lender.lend(|state| state.waiters().keep(called));
}
