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

use super::lend::Lend;
use super::turn::{Came, Turn, Waited};
use super::waiters::Waiters;
use super::wake::wake_each;

/// No more permits will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended;

/// Who has what. It runs no foreign code.
pub(super) struct Ledger {
    available: usize,
    ended: bool,
    claims: Waiters<Claim>,
}

/// What a waiter waits for.
pub(super) struct Claim {
    count: usize,
    /// What a call of the waiter means: it has its permits, or there will be none.
    granted: bool,
}

impl Ledger {
    pub(super) const fn new(available: usize) -> Self {
        Self { available, ended: false, claims: Waiters::new() }
    }

    /// Takes permits if they are there and nobody waits. `None` if they have to be waited for.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<Result<(), Ended>> {
        if self.claims.is_empty() && count <= self.available {
            self.available -= count;
            return Some(Ok(()));
        }
        self.ended.then_some(Err(Ended))
    }

    pub(super) fn available(&self) -> usize {
        self.available
    }

    pub(super) fn waiting(&self) -> usize {
        self.claims.len()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Adds permits. [`Ledger::call_next`] is to follow until there is nobody to call.
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
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Calls the first waiter if it can be served, or must be refused.
    #[inline]
    pub(super) fn call_next(&mut self) -> Option<Waker> {
        if self.claims.is_empty() { None } else { self.call_first() }
    }

    fn call_first(&mut self) -> Option<Waker> {
        let Self { available, ended, claims } = self;
        claims.call_first(|claim| {
            claim.granted = !*ended && claim.count <= *available;
            if claim.granted {
                *available -= claim.count;
            }
            claim.granted || *ended
        })
    }
}

impl Waited for Ledger {
    type Note = Claim;

    fn waiters(&mut self) -> &mut Waiters<Claim> {
        &mut self.claims
    }
}

/// A state with a ledger in it, whose waiters are the ones that are waited for.
pub(super) trait Issue: Waited<Note = Claim> {
    fn ledger(&mut self) -> &mut Ledger;
}

impl Issue for Ledger {
    fn ledger(&mut self) -> &mut Self {
        self
    }
}

/// Changes a ledger, and calls those that can be served then.
#[inline]
pub(super) fn change<L: Lend<State: Issue>>(lender: &L, change: impl FnOnce(&mut Ledger)) {
    let first = lender.lend(|state| {
        let ledger = state.ledger();
        change(ledger);
        ledger.call_next()
    });
    if first.is_some() {
        call_all(lender, first);
    }
}

#[cold]
fn call_all<L: Lend<State: Issue>>(lender: &L, mut first: Option<Waker>) {
    wake_each(|| first.take().or_else(|| lender.lend(|state| state.ledger().call_next())));
}

/// A ledger for the tasks of one thread.
pub(super) struct Permits(RefCell<Ledger>);

impl Permits {
    pub(super) const fn new(available: usize) -> Self {
        Self(RefCell::new(Ledger::new(available)))
    }

    /// Takes permits if they are there and nobody waits.
    #[inline]
    pub(super) fn try_take(&self, count: usize) -> bool {
        matches!(self.0.borrow_mut().take(count), Some(Ok(())))
    }

    /// Waits for permits. They are to be given back.
    #[inline]
    pub(super) fn acquire(&self, count: usize) -> Acquire<'_, RefCell<Ledger>> {
        Acquire::new(&self.0, count)
    }

    /// Adds permits, or gives them back.
    #[inline]
    pub(super) fn add(&self, count: usize) {
        change(&self.0, |ledger| ledger.add(count));
    }

    /// See [`Ledger::remove`].
    pub(super) fn remove(&self, count: usize) -> usize {
        self.0.borrow_mut().remove(count)
    }

    /// See [`Ledger::end`].
    pub(super) fn end(&self) {
        change(&self.0, Ledger::end);
    }

    #[inline]
    pub(super) fn is_ended(&self) -> bool {
        self.0.borrow().is_ended()
    }

    pub(super) fn available(&self) -> usize {
        self.0.borrow().available()
    }

    pub(super) fn waiting(&self) -> usize {
        self.0.borrow().waiting()
    }

    /// Whether permits would have to be waited for.
    pub(super) fn must_wait(&self, count: usize) -> bool {
        let ledger = self.0.borrow();
        ledger.waiting() > 0 || ledger.available() < count
    }
}

/// Waits for permits. Dropped, it takes none: those that it was given go to the next.
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Acquire<'a, L: Lend<State: Issue>> {
    turn: Turn<'a, L>,
    count: usize,
}

impl<'a, L: Lend<State: Issue>> Acquire<'a, L> {
    pub(super) fn new(lender: &'a L, count: usize) -> Self {
        Self { turn: Turn::new(lender), count }
    }

    /// Whether it waits, or has waited and not yet seen what for.
    #[inline]
    pub(super) fn has_joined(&self) -> bool {
        self.turn.has_joined()
    }
}

impl<L: Lend<State: Issue>> Future for Acquire<'_, L> {
    type Output = Result<(), Ended>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let count = self.count;
        let claim = Claim { count, granted: false };
        let came = ready!(self.turn.poll(context, |state| state.ledger().take(count), claim));
        Poll::Ready(match came {
            Came::AtOnce(result) => result,
            Came::Called(Claim { granted: true, .. }) => Ok(()),
            Came::Called(_) => Err(Ended),
        })
    }
}

impl<L: Lend<State: Issue>> Drop for Acquire<'_, L> {
    #[inline]
    fn drop(&mut self) {
        if self.turn.has_joined() {
            self.abandon();
        }
    }
}

impl<L: Lend<State: Issue>> Acquire<'_, L> {
    #[cold]
    fn abandon(&mut self) {
        let left = self.turn.leave().expect("it has joined");
        let given = if left.note.granted { left.note.count } else { 0 };
        // Also if it was given nothing: those behind it may be content with less.
        change(self.turn.lender(), |ledger| ledger.add(given));
    }
}
