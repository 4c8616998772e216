//! The lead of a socket: the right to use it, which one task at a time has.
//!
//! Futures wait for the lead in order. It is passed on when its future has what it waited for and
//! when it is dropped, so what a dropped future has been woken for is found by the next.
//!
//! A task that polls without a future may lose interest without notice. So it never keeps the lead:
//! it polls the socket only while no future has it, and is woken each time when one passes it on.

use std::cell::Cell;
use std::task::{Context, Poll};

use crate::sync::{Lock, LockGuard};
use crate::task::LocalWaker;

#[derive(Default)]
pub(super) struct Lead {
    lock: Lock<()>,
    /// The last task that polled without a future.
    poller: Cell<Option<LocalWaker>>,
}

/// The lead of a future. Dropped, it is passed on.
pub(super) struct LeadGuard<'a> {
    /// `None` once it has been passed on.
    guard: Option<LockGuard<'a, ()>>,
    poller: &'a Cell<Option<LocalWaker>>,
}

impl Lead {
    /// Waits until all futures that wait already have had the lead.
    pub(super) async fn wait(&self) -> LeadGuard<'_> {
        let guard = match self.try_lock() {
            Some(guard) => guard,
            None => self.lock.lock().await,
        };
        LeadGuard { guard: Some(guard), poller: &self.poller }
    }

    /// The lead for the time of a call, unless a future has it.
    pub(super) fn try_lock(&self) -> Option<LockGuard<'_, ()>> {
        self.lock.try_lock()
    }

    /// Polls the socket if no future has the lead. Of the tasks that poll only the last is woken.
    pub(super) fn poll<T>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let lead = self.try_lock();
        if lead.is_some() {
            let polled = poll(context);
            if polled.is_ready() {
                return polled;
            }
        }
        // Before the lead is passed on, so that no end of it is missed.
        self.set_poller(context);
        drop(lead);
        Poll::Pending
    }

    fn set_poller(&self, context: &Context<'_>) {
        let present = self.poller.take().filter(|waker| waker.will_wake(context.waker()));
        let waker = present.unwrap_or_else(|| LocalWaker::new(context.waker()));
        drop(self.poller.replace(Some(waker)));
    }
}

impl Drop for LeadGuard<'_> {
    fn drop(&mut self) {
        // First, since the task that is then woken may poll at once.
        drop(self.guard.take());
        if let Some(poller) = self.poller.take() {
            poller.wake();
        }
    }
}
