//! Counted permits, handed out in the order in which they are asked for.
//!
//! Locks, semaphores and the queues' room and content are all counts of permits. A permit that comes
//! back goes at once to the first that waits, who need not run for that: so nobody can come between,
//! and nobody who comes later is served before one who waits, also if there is enough for the later
//! and not for the earlier.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::state_cell::StateCell;
use super::wait::{Acquired, HasWaiters, Wait};
use super::wait_queue::WaitQueue;
use super::wake::wake_each;

/// No more permits will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// Who has what. It runs no foreign code.
pub(super) struct PermitState {
    available: usize,
    closed: bool,
    requests: WaitQueue<PermitRequest>,
}

/// What a waiter waits for.
pub(super) struct PermitRequest {
    count: usize,
    /// What a call of the waiter means: it has its permits, or there will be none.
    granted: bool,
}

impl PermitState {
    pub(super) const fn new(available: usize) -> Self {
        Self { available, closed: false, requests: WaitQueue::new() }
    }

    /// Takes permits if they are there and nobody waits. `None` if they have to be waited for.
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

    pub(super) fn waiting(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Adds permits. [`PermitState::notify_next`] is to follow until there is nobody to call.
    #[inline]
    pub(super) fn add(&mut self, count: usize) {
        self.available = self.available.saturating_add(count);
    }

    /// Takes up to `count` of the permits that are there, whoever waits, and says how many.
    pub(super) fn remove(&mut self, count: usize) -> usize {
        let removed = count.min(self.available);
        self.available -= removed;
        removed
    }

    /// Whoever waits is refused, and whoever would. What is available can still be taken.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Calls the first waiter if it can be served, or must be refused.
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

impl HasWaiters for PermitState {
    type Payload = PermitRequest;

    fn waiters(&mut self) -> &mut WaitQueue<PermitRequest> {
        &mut self.requests
    }
}

/// A state with the permits in it, whose waiters are the ones that are waited for.
pub(super) trait HasPermits: HasWaiters<Payload = PermitRequest> {
    fn permits(&mut self) -> &mut PermitState;
}

impl HasPermits for PermitState {
    fn permits(&mut self) -> &mut Self {
        self
    }
}

/// Changes the permits, and calls those that can be served then.
#[inline]
pub(super) fn update<C: StateCell<State: HasPermits>>(
    cell: &C,
    change: impl FnOnce(&mut PermitState),
) {
    let first = cell.with(|state| {
        let permits = state.permits();
        change(permits);
        permits.notify_next()
    });
    if first.is_some() {
        notify_rest(cell, first);
    }
}

#[cold]
fn notify_rest<C: StateCell<State: HasPermits>>(cell: &C, mut first: Option<Waker>) {
    wake_each(|| first.take().or_else(|| cell.with(|state| state.permits().notify_next())));
}

/// Permits for the tasks of one thread.
pub(super) struct Permits(RefCell<PermitState>);

impl Permits {
    pub(super) const fn new(available: usize) -> Self {
        Self(RefCell::new(PermitState::new(available)))
    }

    /// Takes permits if they are there and nobody waits.
    #[inline]
    pub(super) fn try_take(&self, count: usize) -> bool {
        matches!(self.0.borrow_mut().take(count), Some(Ok(())))
    }

    /// Waits for permits. They are to be given back.
    #[inline]
    pub(super) fn acquire(&self, count: usize) -> Acquire<'_, RefCell<PermitState>> {
        Acquire::new(&self.0, count)
    }

    /// Adds permits, or gives them back.
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

    pub(super) fn waiting(&self) -> usize {
        self.0.borrow().waiting()
    }

    /// Whether permits would have to be waited for.
    pub(super) fn must_wait(&self, count: usize) -> bool {
        let permits = self.0.borrow();
        permits.waiting() > 0 || permits.available() < count
    }
}

/// Waits for permits. Dropped, it takes none: those that it was given go to the next.
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Acquire<'a, C: StateCell<State: HasPermits>> {
    turn: Wait<'a, C>,
    count: usize,
}

impl<'a, C: StateCell<State: HasPermits>> Acquire<'a, C> {
    pub(super) fn new(cell: &'a C, count: usize) -> Self {
        Self { turn: Wait::new(cell), count }
    }

    /// Whether it waits, or has waited and not yet seen what for.
    #[inline]
    pub(super) fn is_enqueued(&self) -> bool {
        self.turn.is_enqueued()
    }
}

impl<C: StateCell<State: HasPermits>> Future for Acquire<'_, C> {
    type Output = Result<(), Closed>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let count = self.count;
        let request = PermitRequest { count, granted: false };
        let came = ready!(self.turn.poll(context, |state| state.permits().take(count), request));
        Poll::Ready(match came {
            Acquired::Immediately(result) => result,
            Acquired::AfterWait(PermitRequest { granted: true, .. }) => Ok(()),
            Acquired::AfterWait(_) => Err(Closed),
        })
    }
}

impl<C: StateCell<State: HasPermits>> Drop for Acquire<'_, C> {
    #[inline]
    fn drop(&mut self) {
        if self.turn.is_enqueued() {
            self.abandon();
        }
    }
}

impl<C: StateCell<State: HasPermits>> Acquire<'_, C> {
    #[cold]
    fn abandon(&mut self) {
        let left = self.turn.remove().expect("it has joined");
        let given = if left.payload.granted { left.payload.count } else { 0 };
        // Also if it was given nothing: those behind it may be content with less.
        update(self.turn.cell(), |permits| permits.add(given));
    }
}
