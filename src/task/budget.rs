//! A bound on how much ready work one poll of a task may consume.
//!
//! A task whose every await is ready at once (bytes are always there, a queue is never empty) would
//! never return to the loop. So each operation that completes without waiting takes a unit of its
//! task's allowance for this poll; when that is used up, the operation wakes its task and says that
//! it is pending. The task goes to the end of the queue, and others, timers and the kernel have
//! their turn.

use std::cell::Cell;
use std::task::{Context, Poll};

/// How many operations may complete at once in one poll.
const ALLOWANCE: u8 = 128;

thread_local! {
    static LEFT: Cell<u8> = const { Cell::new(ALLOWANCE) };
}

/// A task begins its turn.
pub(super) fn refill() {
    LEFT.set(ALLOWANCE);
}

/// Takes a unit, or makes the task yield. Call it when something is ready, before taking it.
#[inline]
pub(crate) fn poll_spend(context: &Context<'_>) -> Poll<()> {
    match LEFT.get().checked_sub(1) {
        Some(left) => {
            LEFT.set(left);
            Poll::Ready(())
        }
        None => {
            // Whoever polls outside of a task, such as a foreign executor, gets a new allowance too.
            refill();
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }
}
