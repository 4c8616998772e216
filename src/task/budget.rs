//! How much ready work is left to one poll of a task; `coop` says what it is for.

use std::cell::Cell;

/// How many operations may complete without waiting in one poll of a task.
const BUDGET: i16 = 128;

/// The number of refusals in one poll of a task after which it receives a new budget. A refusal
/// makes the task return to the event loop; a foreign `block_on` inside of a task cannot return,
/// and would repeat its operation for ever. Other tasks are refused this often only with as many
/// futures, each of which was polled for it: the work of a poll of the task stays within an eighth
/// of what those polls take.
const MAX_REFUSALS: i16 = 8 * BUDGET;

/// What is left of the budget; below zero, how often an operation was refused since it was used up.
pub(super) struct Budget(Cell<i16>);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(Cell::new(BUDGET))
    }

    /// For the beginning of a task's poll.
    #[inline]
    pub(super) fn refill(&self) {
        self.0.set(BUDGET);
    }

    /// What is left, for [`restore`](Self::restore).
    pub(super) fn left(&self) -> i16 {
        self.0.get()
    }

    pub(super) fn restore(&self, left: i16) {
        self.0.set(left);
    }

    /// Takes a unit, if one is left.
    #[inline]
    pub(super) fn try_spend(&self) -> bool {
        let left = self.0.get() - 1;
        if left >= 0 {
            self.0.set(left);
        }
        left >= 0
    }

    /// Returns whether the task must wait for its next poll. If not, takes a unit of a new budget.
    pub(super) fn refuse(&self) -> bool {
        let left = self.0.get() - 1;
        if left > -MAX_REFUSALS {
            self.0.set(left);
        } else {
            self.0.set(BUDGET - 1);
        }
        left > -MAX_REFUSALS
    }
}
