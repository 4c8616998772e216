//! Operations whose futures are gone and that the kernel has not let go of.

use std::cell::Cell;
use std::task::{Context, Poll};

use crate::task::LocalWaker;

/// Counts operations on their way out, and lets one task wait for the last. The next operation in
/// the same direction of a stream waits so, or bytes would overtake each other.
#[derive(Default)]
pub(super) struct Ending {
    count: Cell<usize>,
    waiter: Cell<Option<LocalWaker>>,
}

impl Ending {
    pub(super) fn begin(&self) {
        self.count.set(self.count.get() + 1);
    }

    pub(super) fn end(&self) {
        self.count.set(self.count.get() - 1);
        if self.count.get() == 0 {
            if let Some(waiter) = self.waiter.take() {
                waiter.wake();
            }
        }
    }

    pub(super) fn poll_ended(&self, context: &Context<'_>) -> Poll<()> {
        if self.count.get() == 0 {
            return Poll::Ready(());
        }
        // Foreign code, which may have had the last one end: so look once more.
        let waker = LocalWaker::new(context.waker());
        if self.count.get() == 0 {
            return Poll::Ready(());
        }
        drop(self.waiter.replace(Some(waker)));
        Poll::Pending
    }
}
