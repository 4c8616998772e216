//! How much a turn may still do by system calls, past the ring.
//!
//! An operation that need not wait is cheaper done at once in two cases. A socket that has more bytes
//! than were asked for is worth emptying while its memory is in the cache: what one connection
//! receives and sends again costs half of what it does when sixty others have their turn in between.
//! And an entry that would be alone in its enter costs more than the call that does its work.
//!
//! But what never waits never yields either. So a turn has an allowance of bytes; when it is used up
//! the loop goes on with timers and the kernel, and only then with the tasks that are ready.

use std::cell::Cell;

/// Bytes that a turn may transfer directly: about two milliseconds' worth.
const MAX_BYTES_PER_TURN: usize = 4 * 1024 * 1024;

/// What an operation counts beside its bytes, as a call takes its time too.
const CALL_COST: usize = 1024;

pub(super) struct InlineBudget {
    left: Cell<usize>,
    count: Cell<u64>,
}

impl InlineBudget {
    pub(super) fn new() -> Self {
        Self { left: Cell::new(MAX_BYTES_PER_TURN), count: Cell::new(0) }
    }

    /// A turn begins.
    pub(super) fn refill(&self) {
        self.left.set(MAX_BYTES_PER_TURN);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// Whether nothing has been done past the ring in this turn.
    pub(super) fn is_untouched(&self) -> bool {
        self.left.get() == MAX_BYTES_PER_TURN
    }

    /// Counts an operation that was done, and its bytes.
    pub(super) fn spend(&self, bytes: usize) {
        self.count.set(self.count.get() + 1);
        self.left.set(self.left.get().saturating_sub(CALL_COST + bytes));
    }

    /// How many operations were done so.
    pub(super) fn count(&self) -> u64 {
        self.count.get()
    }
}
