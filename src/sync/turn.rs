//! One future's wait for its turn.
//!
//! A first poll takes a unit of the task's budget before it looks, whether it then waits or not: a
//! wait ends the task's poll anyway. ([`wait_until`] looks first.)

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::lend::Lend;
use super::waiters::{Left, Place, Standing, Waiters};
use super::wake::wake_all;
use crate::task::budget;

/// A state with a queue of those that wait for it to change.
pub(super) trait Waited {
    type Note;

    fn waiters(&mut self) -> &mut Waiters<Self::Note>;
}

impl<N> Waited for Waiters<N> {
    type Note = N;

    fn waiters(&mut self) -> &mut Self {
        self
    }
}

type Note<L> = <<L as Lend>::State as Waited>::Note;

/// How something has come.
pub(super) enum Came<T, N> {
    /// It was there.
    AtOnce(T),
    /// It was waited for. This is the waiter's note.
    Called(N),
}

/// A future's turn. Dropped, it leaves the queue.
pub(super) struct Turn<'a, L: Lend<State: Waited>> {
    lender: &'a L,
    place: Option<Place>,
}

impl<'a, L: Lend<State: Waited>> Turn<'a, L> {
    pub(super) fn new(lender: &'a L) -> Self {
        Self { lender, place: None }
    }

    /// Takes what is there at once, or joins the queue and waits to be called.
    #[inline]
    pub(super) fn poll<T>(
        &mut self,
        context: &Context<'_>,
        mut take: impl FnMut(&mut L::State) -> Option<T>,
        note: Note<L>,
    ) -> Poll<Came<T, Note<L>>> {
        if self.has_joined() {
            return self.poll_left(context).map(Came::Called);
        }
        ready!(budget::poll_spend(context));
        let taken = self.lender.lend(&mut take);
        match taken.or_else(|| self.take_or_join(context, take, note)) {
            Some(taken) => Poll::Ready(Came::AtOnce(taken)),
            None => Poll::Pending,
        }
    }

    /// Waits to be called, and leaves then.
    #[cold]
    fn poll_left(&mut self, context: &Context<'_>) -> Poll<Note<L>> {
        ready!(self.poll_called(context));
        Poll::Ready(self.leave().expect("a waiter that was called has a place").note)
    }

    /// Joins the queue, unless cloning the waker has brought what is wanted.
    #[cold]
    fn take_or_join<T>(
        &mut self,
        context: &Context<'_>,
        mut take: impl FnMut(&mut L::State) -> Option<T>,
        note: Note<L>,
    ) -> Option<T> {
        let mut waker = Some(context.waker().clone());
        let (taken, place) = self.lender.lend(|state| {
            let taken = take(state);
            let waker = if taken.is_none() { waker.take() } else { None };
            (taken, waker.map(|waker| state.waiters().join(waker, note)))
        });
        self.place = place;
        taken
    }

    /// Joins the queue.
    pub(super) fn join(&mut self, context: &Context<'_>, note: Note<L>) {
        let waker = context.waker().clone();
        self.place = Some(self.lender.lend(|state| state.waiters().join(waker, note)));
    }

    /// Waits to be called, without leaving then.
    pub(super) fn poll_called(&self, context: &Context<'_>) -> Poll<()> {
        let place = self.place.as_ref().expect("it has joined");
        match self.lender.lend(|state| state.waiters().standing(place, context.waker())) {
            Standing::Called => return Poll::Ready(()),
            Standing::Waiting => return Poll::Pending,
            Standing::WaitingElsewhere => {}
        }
        let waker = context.waker().clone();
        let (superfluous, called) = self.lender.lend(|state| {
            let waiters = state.waiters();
            (waiters.replace_waker(place, waker), waiters.is_called(place))
        });
        drop(superfluous);
        if called { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Leaves the queue. `None` if it had not joined, or has left.
    pub(super) fn leave(&mut self) -> Option<Left<Note<L>>> {
        let place = self.place.take()?;
        Some(self.lender.lend(|state| state.waiters().leave(place)))
    }

    /// Whether it has a place in the queue, which it waits in or was called in.
    #[inline]
    pub(super) fn has_joined(&self) -> bool {
        self.place.is_some()
    }

    pub(super) fn lender(&self) -> &'a L {
        self.lender
    }
}

impl<L: Lend<State: Waited>> Drop for Turn<'_, L> {
    #[inline]
    fn drop(&mut self) {
        if self.has_joined() {
            drop(self.leave());
        }
    }
}

/// Waits until something holds, or a call of all waiters says that it did.
///
/// It looks before it takes of the budget, and if it has to wait it is in the queue from that look on:
/// otherwise what comes about, and is over again, while its task yields for its budget would be missed.
pub(super) async fn wait_until(queue: &RefCell<Waiters<()>>, holds: impl Fn() -> bool) {
    if holds() {
        return poll_fn(|context| budget::poll_spend(context)).await;
    }
    let mut turn = Turn::new(queue);
    let take = |_: &mut Waiters<()>| holds().then_some(());
    poll_fn(|context| {
        if turn.has_joined() {
            return turn.poll_called(context);
        }
        turn.take_or_join(context, take, ()).map_or(Poll::Pending, Poll::Ready)
    })
    .await;
}

/// Calls up to `count` of those that wait.
pub(super) fn call(queue: &RefCell<Waiters<()>>, count: usize) {
    let called = queue.borrow_mut().call(count, |()| {});
    wake_all(queue, called);
}
