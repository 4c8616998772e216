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
const ALLOWANCE: u8 = 128;

/// What is left of the allowance.
pub(super) struct Budget(Cell<u8>);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(Cell::new(ALLOWANCE))
    }

    /// A task begins its turn.
    #[inline]
    pub(super) fn refill(&self) {
        self.0.set(ALLOWANCE);
    }

    /// Takes a unit, if there is one left.
    #[inline]
    fn try_spend(&self) -> bool {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// Takes a unit, or makes the task yield. Call it when something is ready, before taking it.
#[inline]
pub(crate) fn poll_spend(context: &Context<'_>) -> Poll<()> {
    if try_spend() {
        return Poll::Ready(());
    }
    // A task has its next allowance with its next turn, however many futures it polls in this one.
    // Whoever polls outside of a task, such as a foreign executor, gets it at once.
    if !is_in_task() {
        with_budget(Budget::refill);
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

/// Takes a unit, if there is one left. Call it where something else makes the task wait if not.
#[inline]
pub(crate) fn try_spend() -> bool {
    with_budget(Budget::try_spend)
}
