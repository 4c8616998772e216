//! Counting destructors, and making them do something.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many of its guards have been dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Something to be dropped.
    pub(crate) fn guard(&self) -> Guard {
        Guard(self.clone())
    }

    /// Something whose destructor panics with `message`.
    pub(crate) fn bomb(&self, message: &'static str) -> Bomb {
        Bomb(self.guard(), message)
    }
}

/// Counts its drop.
#[derive(Debug)]
pub(crate) struct Guard(Drops);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts its drop, and panics.
#[derive(Debug)]
pub(crate) struct Bomb(#[allow(dead_code, reason = "counts its drop")] Guard, &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.1);
    }
}

/// Calls a function when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
