//! Counted permits, granted first in, first out.
//!
//! Locks, semaphores, and the room and content of queues are all counts of permits. A returned
//! permit goes to the first waiter at once, before that one is polled. So no newcomer takes it in
//! between, and no waiter is overtaken, even if there are enough permits for a later one and not
//! for it.

use std::cell::RefCell;
use std::future::Future;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::state_cell::StateCell;
use super::wait::{Acquired, Wait};
use super::wait_queue::{HasWaiters, WaitQueue};
use crate::task::wake;

/// The permits were closed: no waiter is granted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// The available permits, and the requests that wait for more. It runs no foreign code.
pub(super) struct PermitState {
    available: usize,
    closed: bool,
    requests: WaitQueue<PermitRequest>,
}

/// What a waiter waits for.
pub(super) struct PermitRequest {
    count: usize,
    /// What a notification means: it has its permits, or the permits were closed.
    granted: bool,
}

impl PermitState {
    pub(super) const fn new(available: usize) -> Self {
        Self { available, closed: false, requests: WaitQueue::new() }
    }

    /// Takes permits if they are available and no request waits. `None` if it would have to wait.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<Result<(), Closed>> {
        if self.requests.is_empty() && count <= self.available {
            self.available -= count;
            return Some(Ok(()));
        }
        self.closed.then_some(Err(Closed))
    }

    pub(super) fn available(&self) -> usize {
        self.available
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Adds permits. The caller then calls [`PermitState::notify_next`] until it returns `None`.
    #[inline]
    pub(super) fn add(&mut self, count: usize) {
        self.available = self.available.saturating_add(count);
    }

    /// Takes up to `count` available permits, even if requests wait. Returns how many it took.
    pub(super) fn remove(&mut self, count: usize) -> usize {
        let removed = count.min(self.available);
        self.available -= removed;
        removed
    }

    /// Fails all present and future waiters. Available permits can still be taken. The caller then
    /// calls [`PermitState::notify_next`] until it returns `None`.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Notifies the first waiter if its request can be granted, or must fail. Returns its waker.
    #[inline]
    pub(super) fn notify_next(&mut self) -> Option<Waker> {
        if self.requests.is_empty() { None } else { self.notify_first() }
    }

    fn notify_first(&mut self) -> Option<Waker> {
        let Self { available, closed, requests } = self;
        requests.notify_first(|request| {
            request.granted = !*closed && request.count <= *available;
            if request.granted {
                *available -= request.count;
            }
            request.granted || *closed
        })
    }
}

/// A state with permits, whose waiters wait for them.
pub(super) trait HasPermits {
    fn permits(&mut self) -> &mut PermitState;
}

impl HasPermits for PermitState {
    fn permits(&mut self) -> &mut Self {
        self
    }
}

impl<S: HasPermits> HasWaiters for S {
    type Payload = PermitRequest;

    fn waiters(&mut self) -> &mut WaitQueue<PermitRequest> {
        &mut self.permits().requests
    }
}

/// Changes the permits, and notifies and wakes the waiters whose requests can then be granted.
#[inline]
pub(super) fn update<C>(cell: &C, change: impl FnOnce(&mut PermitState))
where
    C: StateCell<State: HasPermits>,
{
    let first = cell.with(|state| {
        let permits = state.permits();
        change(permits);
        permits.notify_next()
    });
    if first.is_some() {
        wake_all(cell, first);
    }
}

/// Wakes the first waiter, then one after another that can be granted. Nothing is borrowed
/// meanwhile.
#[cold]
fn wake_all<C: StateCell<State: HasPermits>>(cell: &C, first: Option<Waker>) {
    let next = || cell.with(|state| state.permits().notify_next());
    first.into_iter().chain(iter::from_fn(next)).for_each(wake);
}

/// Permits for the tasks of one thread.
pub(super) struct Permits(RefCell<PermitState>);

impl Permits {
    pub(super) const fn new(available: usize) -> Self {
        Self(RefCell::new(PermitState::new(available)))
    }

    /// Takes permits if they are available and no request waits.
    #[inline]
    pub(super) fn try_take(&self, count: usize) -> bool {
        matches!(self.0.borrow_mut().take(count), Some(Ok(())))
    }

    /// Waits for permits, which the caller returns by [`Permits::add`].
    #[inline]
    pub(super) fn acquire(&self, count: usize) -> Acquire<'_, RefCell<PermitState>> {
        Acquire::new(&self.0, count)
    }

    /// Adds permits, or returns those that were taken.
    #[inline]
    pub(super) fn add(&self, count: usize) {
        update(&self.0, |permits| permits.add(count));
    }

    /// See [`PermitState::remove`].
    pub(super) fn remove(&self, count: usize) -> usize {
        self.0.borrow_mut().remove(count)
    }

    /// See [`PermitState::close`].
    pub(super) fn close(&self) {
        update(&self.0, PermitState::close);
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.0.borrow().is_closed()
    }

    pub(super) fn available(&self) -> usize {
        self.0.borrow().available()
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.borrow().waiting()
    }

    /// Whether `count` permits cannot be taken without a wait.
    pub(super) fn must_wait(&self, count: usize) -> bool {
        let permits = self.0.borrow();
        permits.waiting() > 0 || permits.available() < count
    }
}

/// Waits for permits. Dropped, it takes none: those that it was granted go to the next waiter.
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Acquire<'a, C: StateCell<State: HasPermits>> {
    wait: Wait<'a, C>,
    count: usize,
}

impl<'a, C: StateCell<State: HasPermits>> Acquire<'a, C> {
    pub(super) fn new(cell: &'a C, count: usize) -> Self {
        Self { wait: Wait::new(cell), count }
    }

    /// Whether it waits, or was notified and has not been polled since.
    #[inline]
    pub(super) fn is_enqueued(&self) -> bool {
        self.wait.is_enqueued()
    }

    #[cold]
    fn abandon(&mut self) {
        let removed = self.wait.remove().expect("the wait is enqueued");
        let granted = if removed.payload.granted { removed.payload.count } else { 0 };
        // Also with none to return: a smaller request behind it may be granted now.
        update(self.wait.cell(), |permits| permits.add(granted));
    }
}

impl<C: StateCell<State: HasPermits>> Future for Acquire<'_, C> {
    type Output = Result<(), Closed>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let count = self.count;
        let request = PermitRequest { count, granted: false };
        let acquired =
            ready!(self.wait.poll(context, |state| state.permits().take(count), request));
        Poll::Ready(match acquired {
            Acquired::Immediately(result) => result,
            Acquired::AfterWait(PermitRequest { granted: true, .. }) => Ok(()),
            Acquired::AfterWait(_) => Err(Closed),
        })
    }
}

impl<C: StateCell<State: HasPermits>> Drop for Acquire<'_, C> {
    #[inline]
    fn drop(&mut self) {
        if self.wait.is_enqueued() {
            self.abandon();
        }
    }
}
