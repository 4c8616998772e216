//! Telling threads apart, cheaply: one load of a thread-local on the way of every wake.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that no other thread of this process has or had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThreadId(NonZeroU64);

impl ThreadId {
    /// The calling thread's.
    #[inline]
    pub(super) fn current() -> Self {
        OWN.with(|own| {
            own.get().unwrap_or_else(|| {
                static LAST: AtomicU64 = AtomicU64::new(0);
                let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
                let id = Self(NonZeroU64::new(number).expect("fewer than 2^64 threads"));
                own.set(Some(id));
                id
            })
        })
    }

    /// Whether it is the calling thread's. A thread that has asked for none has none.
    #[inline]
    pub(super) fn is_current(self) -> bool {
        OWN.with(Cell::get) == Some(self)
    }
}

// A constant initialiser and no destructor: it can be read while a thread ends.
#[cfg(not(annulus_loom))]
thread_local! {
    static OWN: Cell<Option<ThreadId>> = const { Cell::new(None) };
}

// A model's threads all run on one real one.
#[cfg(annulus_loom)]
::loom::thread_local! {
    static OWN: Cell<Option<ThreadId>> = Cell::new(None);
}
