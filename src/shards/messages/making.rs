//! The values that are being made on this thread, to refuse a wait that could never end.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    /// The numbers of those whose `make` is further down on this stack.
    static MAKING: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The future of a `make`, which is to know that it is being polled.
pub(super) struct Making<F> {
    pub(super) id: u64,
    pub(super) make: F,
}

impl<F: Future + Unpin> Future for Making<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        MAKING.with_borrow_mut(|making| making.push(self.id));
        let _polled = Polled;
        Pin::new(&mut self.make).poll(context)
    }
}

struct Polled;

impl Drop for Polled {
    fn drop(&mut self) {
        MAKING.with_borrow_mut(Vec::pop);
    }
}

/// Call this before waiting until the value of this number is made.
///
/// # Panics
///
/// If it is its own `make` that waits.
pub(super) fn check_wait(id: u64) {
    let is_its_own = MAKING.with_borrow(|making| making.contains(&id));
    assert!(
        !is_its_own,
        "the `make` of a `Sharded` awaits the same value on its own shard, which is not made before \
         it returns: have `make` not call `get`"
    );
}
