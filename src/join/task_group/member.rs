//! A child of a group, and the handle that awaits and cancels it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;

use crate::task::{JoinError, WakeSlot, coop};

/// A child, or the body, as the group polls it. Only its error goes to the group.
pub(super) struct Member<'a, E> {
    future: Pin<Box<dyn Future<Output = Result<(), E>> + 'a>>,
    /// `None` for the body.
    handle: Option<Rc<dyn Handled + 'a>>,
}

impl<'a, E> Member<'a, E> {
    pub(super) fn body(future: impl Future<Output = Result<(), E>> + 'a) -> Self {
        Self { future: Box::pin(future), handle: None }
    }

    /// A child and its handle.
    pub(super) fn new<T: 'a>(
        future: impl Future<Output = Result<T, E>> + 'a,
    ) -> (Self, GroupHandle<T>) {
        let state = Rc::new(ChildState::default());
        let its = Rc::clone(&state);
        let future = future.map(move |outcome| {
            its.settle(Ok(outcome?));
            Ok(())
        });
        let handle = Rc::clone(&state);
        (Self { future: Box::pin(future), handle: Some(handle) }, GroupHandle { state })
    }
}

impl<E> Future for Member<'_, E> {
    type Output = Result<(), E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(handle) = &self.handle {
            if handle.poll_cancelled(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        self.future.as_mut().poll(context)
    }
}

impl<E> Drop for Member<'_, E> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.note_dropped();
        }
    }
}

/// The child's side of what it shares with its handle.
trait Handled {
    /// Waits until the child is cancelled.
    fn poll_cancelled(&self, context: &Context<'_>) -> Poll<()>;

    /// The child is dropped, with or without an output.
    fn note_dropped(&self);
}

/// What a child and its handle share.
struct ChildState<T> {
    outcome: RefCell<Option<Result<T, JoinError>>>,
    ended: Cell<bool>,
    joiner: WakeSlot,
    cancelled: Cell<bool>,
    child: WakeSlot,
}

impl<T> Default for ChildState<T> {
    fn default() -> Self {
        Self {
            outcome: RefCell::default(),
            ended: Cell::default(),
            joiner: WakeSlot::default(),
            cancelled: Cell::default(),
            child: WakeSlot::default(),
        }
    }
}

impl<T> ChildState<T> {
    /// Sets the outcome, unless there is one already.
    fn settle(&self, outcome: Result<T, JoinError>) {
        if self.ended.replace(true) {
            return;
        }
        *self.outcome.borrow_mut() = Some(outcome);
        drop(self.child.take());
        self.joiner.wake();
    }
}

impl<T> Handled for ChildState<T> {
    fn poll_cancelled(&self, context: &Context<'_>) -> Poll<()> {
        self.child.poll_until(context, || self.cancelled.get().then_some(()))
    }

    fn note_dropped(&self) {
        self.settle(Err(JoinError::Cancelled));
    }
}

/// A child of a group.
///
/// Awaited, it returns the child's output. Dropped, it leaves the child running.
///
/// Awaiting a child that was cancelled, that failed, or that the group did not take returns
/// [`JoinError::Cancelled`]; the error itself is in the group's [`GroupError`](super::GroupError).
/// A child that panics makes the whole group panic.
#[doc(alias = "asyncio.Task")]
pub struct GroupHandle<T> {
    state: Rc<ChildState<T>>,
}

impl<T> GroupHandle<T> {
    /// Cancels the child: the group's next poll drops it and continues without it.
    ///
    /// Returns `false` if the child has already ended.
    pub fn cancel(&self) -> bool {
        if self.state.ended.get() {
            return false;
        }
        self.state.cancelled.set(true);
        self.state.child.wake();
        true
    }

    /// Whether the child has ended, by an output, an error or a cancel.
    pub fn is_finished(&self) -> bool {
        self.state.ended.get()
    }

    /// Takes the child's output, if it has ended with one that was not taken before.
    ///
    /// It can still be taken when the group is over.
    #[doc(alias = "asyncio.Task.result")]
    pub fn take(&mut self) -> Option<T> {
        self.state.outcome.borrow_mut().take_if(|outcome| outcome.is_ok())?.ok()
    }
}

impl<T> Future for GroupHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &self.state;
        ready!(state.joiner.poll_until(context, || state.ended.get().then_some(())));
        ready!(coop::poll_spend(context));
        let outcome = state.outcome.borrow_mut().take();
        Poll::Ready(outcome.expect("the outcome of this child has already been taken"))
    }
}

impl<T> fmt::Debug for GroupHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle").field("finished", &self.is_finished()).finish()
    }
}
