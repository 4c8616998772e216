//! How much an enter may still read and write itself.
//!
//! A read of a file that is in memory costs less than a worker. But it copies, and an enter with
//! thousands of them would keep timers and sockets waiting: beyond this, they are the workers'.

use std::cell::Cell;

/// Bytes that an enter may transfer from and to files: about a millisecond's worth.
const MAX_BYTES_PER_ENTER: usize = 2 << 20;

/// What a call costs beside its bytes, in bytes.
const CALL_COST: usize = 1024;

pub(super) struct InlineBudget(Cell<usize>);

impl InlineBudget {
    pub(super) fn new() -> Self {
        Self(Cell::new(MAX_BYTES_PER_ENTER))
    }

    /// An enter begins.
    pub(super) fn refill(&self) {
        self.0.set(MAX_BYTES_PER_ENTER);
    }

    /// Whether a transfer of this many bytes may be made.
    pub(super) fn allows(&self, bytes: usize) -> bool {
        bytes < self.0.get()
    }

    /// A call has transferred this many bytes.
    pub(super) fn spend(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_sub(CALL_COST + bytes));
    }
}
