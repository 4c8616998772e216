//! One future's wait for its turn.
//!
//! A first poll takes a unit of the task's budget before it looks, whether it then waits or not: a
//! wait ends the task's poll anyway. ([`wait_until`] looks first.)

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::state_cell::StateCell;
use super::wait_queue::{Removed, WaitQueue, WaiterId, WaiterState};
use super::wake::wake_all;
use crate::task::budget;

/// A state with a queue of those that wait for it to change.
pub(super) trait HasWaiters {
    type Payload;

    fn waiters(&mut self) -> &mut WaitQueue<Self::Payload>;
}

impl<P> HasWaiters for WaitQueue<P> {
    type Payload = P;

    fn waiters(&mut self) -> &mut Self {
        self
    }
}

type Payload<C> = <<C as StateCell>::State as HasWaiters>::Payload;

/// How something has come.
pub(super) enum Acquired<T, P> {
    /// It was there.
    Immediately(T),
    /// It was waited for. This is the waiter's payload.
    AfterWait(P),
}

/// A future's turn. Dropped, it leaves the queue.
pub(super) struct Wait<'a, C: StateCell<State: HasWaiters>> {
    cell: &'a C,
    id: Option<WaiterId>,
}

impl<'a, C: StateCell<State: HasWaiters>> Wait<'a, C> {
    pub(super) fn new(cell: &'a C) -> Self {
        Self { cell, id: None }
    }

    /// Takes what is there at once, or joins the queue and waits to be notified.
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
        ready!(budget::poll_spend(context));
        let taken = self.cell.with(&mut take);
        match taken.or_else(|| self.take_or_enqueue(context, take, payload)) {
            Some(taken) => Poll::Ready(Acquired::Immediately(taken)),
            None => Poll::Pending,
        }
    }

    /// Waits to be notified, and leaves then.
    #[cold]
    fn poll_removed(&mut self, context: &Context<'_>) -> Poll<Payload<C>> {
        ready!(self.poll_notified(context));
        Poll::Ready(self.remove().expect("a waiter that was notified has an id").payload)
    }

    /// Joins the queue, unless cloning the waker has brought what is wanted.
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

    /// Joins the queue.
    pub(super) fn enqueue(&mut self, context: &Context<'_>, payload: Payload<C>) {
        let waker = context.waker().clone();
        self.id = Some(self.cell.with(|state| state.waiters().enqueue(waker, payload)));
    }

    /// Waits to be notified, without leaving then.
    pub(super) fn poll_notified(&self, context: &Context<'_>) -> Poll<()> {
        let id = self.id.as_ref().expect("it has joined");
        match self.cell.with(|state| state.waiters().standing(id, context.waker())) {
            WaiterState::Notified => return Poll::Ready(()),
            WaiterState::Waiting => return Poll::Pending,
            WaiterState::StaleWaker => {}
        }
        let waker = context.waker().clone();
        let (superfluous, notified) = self.cell.with(|state| {
            let waiters = state.waiters();
            (waiters.replace_waker(id, waker), waiters.is_notified(id))
        });
        drop(superfluous);
        if notified { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Leaves the queue. `None` if it had not joined, or has left.
    pub(super) fn remove(&mut self) -> Option<Removed<Payload<C>>> {
        let id = self.id.take()?;
        Some(self.cell.with(|state| state.waiters().remove(id)))
    }

    /// Whether it has an id in the queue, which it waits in or was notified in.
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

/// Waits until something holds, or a call of all waiters says that it did.
///
/// It looks before it takes of the budget, and if it has to wait it is in the queue from that look on:
/// otherwise what comes about, and is over again, while its task yields for its budget would be missed.
pub(super) async fn wait_until(queue: &RefCell<WaitQueue<()>>, holds: impl Fn() -> bool) {
    if holds() {
        return poll_fn(|context| budget::poll_spend(context)).await;
    }
    let mut turn = Wait::new(queue);
    let take = |_: &mut WaitQueue<()>| holds().then_some(());
    poll_fn(|context| {
        if turn.is_enqueued() {
            return turn.poll_notified(context);
        }
        turn.take_or_enqueue(context, take, ()).map_or(Poll::Pending, Poll::Ready)
    })
    .await;
}

/// Calls up to `count` of those that wait.
pub(super) fn notify(queue: &RefCell<WaitQueue<()>>, count: usize) {
    let notified = queue.borrow_mut().notify(count, |()| {});
    wake_all(queue, notified);
}
