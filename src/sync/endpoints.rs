//! One side of a channel within a thread: how many senders (or receivers) there are, and the tasks
//! of the other side that wait for them.

use std::cell::{Cell, RefCell};

use super::wait::{notify, wait_until};
use super::wait_queue::WaitQueue;

/// The endpoints of one side of a channel.
pub(super) struct Endpoints {
    count: Cell<usize>,
    waiters: RefCell<WaitQueue<()>>,
}

impl Endpoints {
    /// A side with one endpoint.
    pub(super) const fn one() -> Self {
        Self { count: Cell::new(1), waiters: RefCell::new(WaitQueue::new()) }
    }

    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    pub(super) fn are_gone(&self) -> bool {
        self.count() == 0
    }

    pub(super) fn add(&self) {
        self.count.set(self.count() + 1);
    }

    /// Removes an endpoint. If it was the last, all waiters are notified.
    pub(super) fn remove(&self) {
        self.count.set(self.count() - 1);
        if self.are_gone() {
            self.notify_waiters();
        }
    }

    pub(super) fn notify_waiters(&self) {
        notify(&self.waiters, usize::MAX);
    }

    /// Waits until `condition` is true, the waiters are notified, or this side is gone.
    pub(super) fn wait_until(&self, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
        wait_until(&self.waiters, move || condition() || self.are_gone())
    }
}
