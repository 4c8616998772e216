//! What other threads ring to wake the runtime's thread: an eventfd that the ring polls while it
//! waits, and another for the event loop whose guest the runtime is.
//!
//! The kernel signals the second as well, for each completion. So it is not the first: the ring
//! would poll what it signals, without end. And it is rung directly, not by the ring's poll of the
//! first: the kernel does not signal one eventfd inside of a write to another, but some
//! milliseconds later.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use crate::sys::eventfd::EventFd;

pub(super) struct Bell {
    own: EventFd,
    outer: OnceLock<Outer>,
}

/// What wakes an outer event loop.
struct Outer {
    counter: EventFd,
    /// What it watches instead of the counter, if that alone does not tell.
    watched: Option<OwnedFd>,
}

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { own: EventFd::new()?, outer: OnceLock::new() })
    }

    /// Wakes the runtime's thread from its wait, in its own event loop or in the outer one.
    pub(super) fn ring(&self) {
        self.own.ring();
        if let Some(outer) = self.outer.get() {
            outer.counter.ring();
        }
    }

    /// From now on an outer event loop waits for this eventfd, or for what is `watched` instead,
    /// which is readable when the eventfd is.
    pub(super) fn set_outer(&self, counter: EventFd, watched: Option<OwnedFd>) {
        let is_set = self.outer.set(Outer { counter, watched }).is_ok();
        assert!(is_set, "a runtime becomes a guest once");
    }

    /// Forgets that the outer event loop was rung.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(super) fn clear_outer(&self) {
        self.outer().counter.clear();
    }

    /// What the outer event loop waits for.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(super) fn watched(&self) -> BorrowedFd<'_> {
        let outer = self.outer();
        outer.watched.as_ref().map_or(outer.counter.as_fd(), OwnedFd::as_fd)
    }

    fn outer(&self) -> &Outer {
        self.outer.get().expect("the runtime is a guest")
    }
}

/// The eventfd that the ring polls.
impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.own.as_raw_fd()
    }
}
