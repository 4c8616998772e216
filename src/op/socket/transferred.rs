//! How many bytes a connection has transferred.

use std::cell::Cell;

/// How many bytes have been received and sent.
#[derive(Default)]
pub(super) struct Transferred {
    received: Cell<u64>,
    sent: Cell<u64>,
    /// Whether anything has been received since something was sent.
    is_asked: Cell<bool>,
}

impl Transferred {
    #[inline]
    pub(super) fn note_received(&self, bytes: usize) {
        self.received.set(self.received.get().wrapping_add(bytes as u64));
        self.is_asked.set(true);
    }

    #[inline]
    pub(super) fn note_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get().wrapping_add(bytes as u64));
        self.is_asked.set(false);
    }

    /// Whether what is sent next is probably an answer.
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked.get()
    }

    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }
}
