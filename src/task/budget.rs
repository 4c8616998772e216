//! A bound on how much ready work one poll of a task may consume.
//!
//! A task whose every await is ready at once (bytes are always there, a queue is never empty) would
//! never return to the loop. So each operation that completes without waiting takes a unit of its
//! task's allowance for this poll; when that is used up, the operation wakes its task and says that
//! it is pending. The task goes to the end of the queue, and others, timers and the kernel have
//! their turn.

use std::cell::Cell;
use std::task::{Context, Poll};

use super::current::with_budget;

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

    /// Takes a unit. If none is left there is a new allowance, since whoever polls outside of a
    /// task, such as a foreign executor, gets one too.
    #[inline]
    fn spend(&self) -> bool {
        match self.0.get().checked_sub(1) {
            Some(left) => self.0.set(left),
            None => self.refill(),
        }
        self.0.get() < ALLOWANCE
    }
}

/// Takes a unit, or makes the task yield. Call it when something is ready, before taking it.
#[inline]
pub(crate) fn poll_spend(context: &Context<'_>) -> Poll<()> {
    if with_budget(Budget::spend) {
        return Poll::Ready(());
    }
    context.waker().wake_by_ref();
    Poll::Pending
}
