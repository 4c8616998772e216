//! Cheap identification of threads: every wake loads one thread-local.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// The id of a thread. No two threads of a process have the same, even one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThreadId(NonZeroU64);

impl ThreadId {
    /// The calling thread's id.
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

    /// Whether it is the calling thread's id. A thread that never called `current` has none.
    #[inline]
    pub(super) fn is_current(self) -> bool {
        OWN.with(Cell::get) == Some(self)
    }
}

// With a constant initialiser and no destructor it can be read while a thread ends.
#[cfg(not(annulus_loom))]
thread_local! {
    static OWN: Cell<Option<ThreadId>> = const { Cell::new(None) };
}

// Loom runs all threads of a model on one real thread.
#[cfg(annulus_loom)]
::loom::thread_local! {
    static OWN: Cell<Option<ThreadId>> = Cell::new(None);
}
