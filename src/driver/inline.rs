//! How much a turn may still do by inline calls: system calls instead of SQEs.
//!
//! An operation that can be expected to complete at once is cheaper done at once in two cases. A
//! socket that has more bytes than were asked for is worth emptying while its memory is in the
//! cache: what one connection receives and sends again costs half of what it does when sixty others
//! are served in between. And an SQE that would be alone in its enter costs more than the call that
//! does its work.
//!
//! But what never waits never yields either. So a turn has a budget of bytes; when it is spent the
//! loop goes on with timers and the kernel, and only then with the tasks that are ready.

use std::cell::Cell;

#[cfg(feature = "faults")]
use crate::sys::InlineFaults;
use crate::sys::Ring;

/// Bytes that a turn may transfer by inline calls: about two milliseconds' worth.
const MAX_BYTES_PER_TURN: usize = 4 * 1024 * 1024;

/// What a call costs beside its bytes, in bytes.
const CALL_COST: usize = 1024;

pub(super) struct InlineBudget {
    left: Cell<usize>,
    #[cfg(feature = "faults")]
    faults: Option<InlineFaults>,
}

impl InlineBudget {
    /// A full budget.
    #[cfg_attr(not(feature = "faults"), expect(unused_variables))]
    pub(super) fn new(ring: &Ring) -> Self {
        Self {
            left: Cell::new(MAX_BYTES_PER_TURN),
            #[cfg(feature = "faults")]
            faults: ring.inline_faults(),
        }
    }

    /// Whether the next call is not to be made, to test what happens then.
    #[cfg(feature = "faults")]
    pub(super) fn is_withheld(&self) -> bool {
        self.faults.as_ref().is_some_and(InlineFaults::withholds)
    }

    /// A turn begins.
    #[inline]
    pub(super) fn refill(&self) {
        self.left.set(MAX_BYTES_PER_TURN);
    }

    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// Whether no inline call has been made in this turn.
    #[inline]
    pub(super) fn is_untouched(&self) -> bool {
        self.left.get() == MAX_BYTES_PER_TURN
    }

    /// An inline call has moved this many bytes.
    #[inline]
    pub(super) fn spend(&self, bytes: usize) {
        self.left.set(self.left.get().saturating_sub(CALL_COST + bytes));
    }
}
