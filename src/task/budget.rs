//! A bound on how much ready work one poll of a task may consume.
//!
//! A task whose every await is ready at once (bytes are always there, a queue is never empty) would
//! never return to the loop. So each operation that completes without waiting takes a unit of its
//! task's allowance for this poll; when that is used up, the operation wakes its task and says that
//! it is pending. The task goes to the end of the queue, and others, timers and the kernel have
//! their turn.

use std::cell::Cell;
use std::task::{Context, Poll};

use super::current::{is_in_task, with_budget};

/// How many operations may complete at once in one poll.
const ALLOWANCE: i16 = 128;

/// After so many refusals in one poll of a task there is a new allowance. An operation is refused so
/// that the task returns to the loop; a foreign `block_on` inside of a task cannot return, and would
/// ask for ever. Others ask this often only with as many futures, each of which was polled for it:
/// the work of a poll of the task so stays within an eighth of what those polls take.
const PATIENCE: i16 = 8 * ALLOWANCE;

/// What is left of the allowance; below zero, how often an operation was refused since it was used up.
pub(super) struct Budget(Cell<i16>);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(Cell::new(ALLOWANCE))
    }

    /// A task begins its turn.
    #[inline]
    pub(super) fn refill(&self) {
        self.0.set(ALLOWANCE);
    }

    /// What is left, to be put back by [`restore`](Self::restore).
    pub(super) fn left(&self) -> i16 {
        self.0.get()
    }

    pub(super) fn restore(&self, left: i16) {
        self.0.set(left);
    }

    /// Takes a unit, if there is one left.
    #[inline]
    fn try_spend(&self) -> bool {
        let left = self.0.get() - 1;
        if left >= 0 {
            self.0.set(left);
        }
        left >= 0
    }

    /// Makes the task wait for its next turn, or takes a unit of a new allowance.
    fn refuse(&self) -> bool {
        let left = self.0.get() - 1;
        if left > -PATIENCE {
            self.0.set(left);
        } else {
            self.0.set(ALLOWANCE - 1);
        }
        left > -PATIENCE
    }
}

/// Takes a unit, or makes the task yield. Call it when something is ready, before taking it.
/// Outside of a task it is always ready.
#[inline]
pub(crate) fn poll_spend(context: &Context<'_>) -> Poll<()> {
    if with_budget(Budget::try_spend) { Poll::Ready(()) } else { poll_exhausted(context) }
}

#[cold]
#[inline(never)]
fn poll_exhausted(context: &Context<'_>) -> Poll<()> {
    if replenish() || !with_budget(Budget::refuse) {
        return Poll::Ready(());
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

/// Takes a unit, if there is one left. Call it where something else makes the task wait if not.
#[inline]
pub(crate) fn try_spend() -> bool {
    with_budget(Budget::try_spend) || replenish()
}

/// Outside of a task there is no turn to return to, and no other task to starve: whoever polls
/// there, such as a foreign executor, goes on at once.
#[cold]
fn replenish() -> bool {
    let is_outside = !is_in_task();
    if is_outside {
        with_budget(Budget::refill);
    }
    is_outside
}
