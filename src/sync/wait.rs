//! One future's wait in a wait queue, and the functions that end it.
//!
//! The first poll takes one unit of the task's budget before it looks, whether or not it then
//! waits: a wait ends the task's poll anyway. [`wait_until`] looks first, for a reason given there.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};

use super::state_cell::StateCell;
use super::wait_queue::{HasWaiters, Removed, WaitQueue, WaiterId, WaiterState};
use crate::task::{coop, wake};

type Payload<C> = <<C as StateCell>::State as HasWaiters>::Payload;

/// How a [`Wait`] ended.
pub(super) enum Acquired<T, P> {
    /// It took this at the first poll.
    Immediately(T),
    /// It was enqueued and notified. This is the waiter's payload.
    AfterWait(P),
}

/// A future's wait. Dropped, it is removed from the queue.
pub(super) struct Wait<'a, C: StateCell<State: HasWaiters>> {
    cell: &'a C,
    id: Option<WaiterId>,
}

impl<'a, C: StateCell<State: HasWaiters>> Wait<'a, C> {
    pub(super) fn new(cell: &'a C) -> Self {
        Self { cell, id: None }
    }

    /// Takes what is available, or is enqueued and waits to be notified.
    #[inline]
    pub(super) fn poll<T>(
        &mut self,
        context: &Context<'_>,
        mut take: impl FnMut(&mut C::State) -> Option<T>,
        payload: Payload<C>,
    ) -> Poll<Acquired<T, Payload<C>>> {
        if self.is_enqueued() {
            return self.poll_removed(context).map(Acquired::AfterWait);
        }
        ready!(coop::poll_spend(context));
        let taken = self.cell.with(&mut take);
        match taken.or_else(|| self.take_or_enqueue(context, take, payload)) {
            Some(taken) => Poll::Ready(Acquired::Immediately(taken)),
            None => Poll::Pending,
        }
    }

    /// Waits to be notified, and is then removed from the queue.
    #[cold]
    fn poll_removed(&mut self, context: &Context<'_>) -> Poll<Payload<C>> {
        ready!(self.poll_notified(context));
        Poll::Ready(self.remove().expect("a notified waiter has an entry").payload)
    }

    /// Is enqueued, unless `take` succeeds once the waker has been cloned: that is foreign code.
    #[cold]
    fn take_or_enqueue<T>(
        &mut self,
        context: &Context<'_>,
        mut take: impl FnMut(&mut C::State) -> Option<T>,
        payload: Payload<C>,
    ) -> Option<T> {
        let mut waker = Some(context.waker().clone());
        let (taken, id) = self.cell.with(|state| {
            let taken = take(state);
            let waker = if taken.is_none() { waker.take() } else { None };
            (taken, waker.map(|waker| state.waiters().enqueue(waker, payload)))
        });
        self.id = id;
        taken
    }

    pub(super) fn enqueue(&mut self, context: &Context<'_>, payload: Payload<C>) {
        let waker = context.waker().clone();
        self.id = Some(self.cell.with(|state| state.waiters().enqueue(waker, payload)));
    }

    /// Waits to be notified. Stays in the queue.
    pub(super) fn poll_notified(&self, context: &Context<'_>) -> Poll<()> {
        let id = self.id.as_ref().expect("the wait is enqueued");
        match self.cell.with(|state| state.waiters().state(id, context.waker())) {
            WaiterState::Notified => return Poll::Ready(()),
            WaiterState::Waiting => return Poll::Pending,
            WaiterState::StaleWaker => {}
        }
        let waker = context.waker().clone();
        let (superfluous, is_notified) = self.cell.with(|state| {
            let waiters = state.waiters();
            (waiters.replace_waker(id, waker), waiters.is_notified(id))
        });
        drop(superfluous);
        if is_notified { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Removes the waiter from the queue. `None` if it was not enqueued, or has been removed.
    pub(super) fn remove(&mut self) -> Option<Removed<Payload<C>>> {
        let id = self.id.take()?;
        Some(self.cell.with(|state| state.waiters().remove(id)))
    }

    /// Whether it has an entry in the queue: it waits, or was notified and has not been removed.
    #[inline]
    pub(super) fn is_enqueued(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn cell(&self) -> &'a C {
        self.cell
    }
}

impl<C: StateCell<State: HasWaiters>> Drop for Wait<'_, C> {
    #[inline]
    fn drop(&mut self) {
        if self.is_enqueued() {
            drop(self.remove());
        }
    }
}

/// Waits until `condition` is true or this waiter is notified.
///
/// It evaluates the condition before it takes of the budget, and a wait is enqueued right after
/// that: a condition that becomes true and false again while the task yields for its budget is not
/// missed.
pub(super) async fn wait_until(queue: &RefCell<WaitQueue<()>>, condition: impl Fn() -> bool) {
    if condition() {
        return poll_fn(|context| coop::poll_spend(context)).await;
    }
    let mut wait = Wait::new(queue);
    let take = |_: &mut WaitQueue<()>| condition().then_some(());
    poll_fn(|context| {
        if wait.is_enqueued() {
            return wait.poll_notified(context);
        }
        wait.take_or_enqueue(context, take, ()).map_or(Poll::Pending, Poll::Ready)
    })
    .await;
}

/// Notifies and wakes the first `count` waiters; all, if there are fewer.
pub(super) fn notify(queue: &RefCell<WaitQueue<()>>, count: usize) {
    let wakers = queue.borrow_mut().notify(count, |()| {});
    wake_all(queue, wakers);
}

/// Wakes waiters that were notified together. Nothing is borrowed meanwhile.
pub(super) fn wake_all<P>(queue: &RefCell<WaitQueue<P>>, mut wakers: Vec<Waker>) {
    wakers.drain(..).for_each(wake);
    queue.borrow_mut().recycle(wakers);
}
