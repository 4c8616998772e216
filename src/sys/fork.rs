//! Whether this process was forked from the one that made a ring, or something else that a child
//! must not touch.
//!
//! A ring's memory is not mapped in a child (`MADV_DONTFORK`), as both processes would write to one
//! queue. So a child must never touch it, and a count of forks is what tells, at the price of a
//! load.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between the first process of this program and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Which generation made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u32);

impl Generation {
    /// That of this process. From the first call on, forks are counted.
    pub(crate) fn of_this_process() -> Self {
        static COUNTED: Once = Once::new();
        // Miri has neither the call nor forks.
        if !cfg!(miri) {
            // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec.
            COUNTED.call_once(|| unsafe {
                // It fails only for want of memory. Then a child that uses its parent's ring
                // crashes, as it would without this.
                libc::pthread_atfork(None, None, Some(count));
            });
        }
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this process is that generation's.
    #[inline]
    pub(crate) fn is_present(self) -> bool {
        // Relaxed: only a fork changes it, and a child begins with one thread.
        self.0 == GENERATION.load(Ordering::Relaxed)
    }
}

unsafe extern "C" fn count() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
