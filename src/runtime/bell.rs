//! What other threads ring to wake the runtime's thread: an eventfd that the ring polls while it
//! waits, and another for the event loop whose guest the runtime is.
//!
//! The kernel signals the second as well, for each completion. So it is not the first: the ring
//! would poll what it signals, without end. And it is rung directly, not by the ring's poll of the
//! first: the kernel does not signal one eventfd inside of a write to another, but some
//! milliseconds later.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;

use crate::sys::eventfd::EventFd;

pub(super) struct Bell {
    own: EventFd,
    outer: OnceLock<EventFd>,
}

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { own: EventFd::new()?, outer: OnceLock::new() })
    }

    /// Wakes the runtime's thread from its wait, in its own event loop or in the outer one.
    pub(super) fn ring(&self) {
        self.own.ring();
        if let Some(outer) = self.outer.get() {
            outer.ring();
        }
    }

    /// From now on an outer event loop waits for this eventfd.
    pub(super) fn set_outer(&self, counter: EventFd) {
        assert!(self.outer.set(counter).is_ok(), "a runtime becomes a guest once");
    }

    /// What the outer event loop waits for.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(super) fn outer(&self) -> &EventFd {
        self.outer.get().expect("the runtime is a guest")
    }
}

/// The eventfd that the ring polls.
impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.own.as_raw_fd()
    }
}
