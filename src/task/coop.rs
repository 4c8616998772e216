//! A bound on how much ready work one poll of a task may consume.
//!
//! A task whose every await is ready at once (bytes are always available, a queue is never empty)
//! would never return to the event loop. So each operation that completes without waiting takes a
//! unit of its task's budget for this poll; when that is used up, the operation wakes its task and
//! returns `Pending`. The task goes to the end of the ready queue, behind other tasks, timers and
//! the kernel.

use std::task::{Context, Poll};

use super::budget::Budget;
use super::current::{is_in_task, with_budget};

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

/// Takes a unit, if one is left. Call it where something else makes the task wait if not.
#[inline]
pub(crate) fn try_spend() -> bool {
    with_budget(Budget::try_spend) || replenish()
}

/// Outside of a task there is no event loop to return to, and no other task to starve: code that
/// polls there, such as a foreign executor, gets a new budget. Returns whether this is outside of a
/// task.
#[cold]
fn replenish() -> bool {
    let is_outside = !is_in_task();
    if is_outside {
        with_budget(Budget::refill);
    }
    is_outside
}
