//! A child of a group, and the handle by which it is awaited and cancelled.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;

use crate::task::{JoinError, WakeSlot, budget};

/// A child, or the body, as the group polls it. What it ends with besides an error goes elsewhere.
pub(super) struct Member<'a, E> {
    future: Pin<Box<dyn Future<Output = Result<(), E>> + 'a>>,
    /// Absent for the body.
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
        let slot = Rc::new(Slot::default());
        let its = Rc::clone(&slot);
        let future = future.map(move |outcome| {
            its.settle(Ok(outcome?));
            Ok(())
        });
        let handle = Rc::clone(&slot);
        (Self { future: Box::pin(future), handle: Some(handle) }, GroupHandle { slot })
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
            handle.let_go();
        }
    }
}

/// What a child has to do with its handle.
trait Handled {
    /// Waits until the child is cancelled.
    fn poll_cancelled(&self, context: &Context<'_>) -> Poll<()>;

    /// The child is gone, with or without an output.
    fn let_go(&self);
}

/// What a child and its handle share.
struct Slot<T> {
    outcome: RefCell<Option<Result<T, JoinError>>>,
    ended: Cell<bool>,
    joiner: WakeSlot,
    cancelled: Cell<bool>,
    child: WakeSlot,
}

impl<T> Default for Slot<T> {
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

impl<T> Slot<T> {
    /// The first outcome counts.
    fn settle(&self, outcome: Result<T, JoinError>) {
        if self.ended.replace(true) {
            return;
        }
        *self.outcome.borrow_mut() = Some(outcome);
        drop(self.child.take());
        self.joiner.wake();
    }
}

impl<T> Handled for Slot<T> {
    fn poll_cancelled(&self, context: &Context<'_>) -> Poll<()> {
        self.child.poll_until(context, || self.cancelled.get().then_some(()))
    }

    fn let_go(&self) {
        self.settle(Err(JoinError::Cancelled));
    }
}

/// A child of a group. Awaited, it gives the child's output; dropped, it leaves the child to the
/// group.
///
/// A child that is cancelled, that fails, or that the group did not take gives
/// [`JoinError::Cancelled`]; what it failed with is in the group's error. A child that panics lets
/// the whole group panic.
#[doc(alias = "asyncio.Task")]
pub struct GroupHandle<T> {
    slot: Rc<Slot<T>>,
}

impl<T> GroupHandle<T> {
    /// Drops the child when the group has its next turn; the group goes on without it. Returns
    /// `false` if it has ended already.
    pub fn cancel(&self) -> bool {
        if self.slot.ended.get() {
            return false;
        }
        self.slot.cancelled.set(true);
        self.slot.child.wake();
        true
    }

    /// Whether the child has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        self.slot.ended.get()
    }

    /// The child's output, once it has ended with one and if it was not taken before. It can also be
    /// taken when the group is over.
    #[doc(alias = "asyncio.Task.result")]
    pub fn take(&mut self) -> Option<T> {
        self.slot.outcome.borrow_mut().take_if(|outcome| outcome.is_ok())?.ok()
    }
}

impl<T> Future for GroupHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = &self.slot;
        ready!(slot.joiner.poll_until(context, || slot.ended.get().then_some(())));
        ready!(budget::poll_spend(context));
        let outcome = self.slot.outcome.borrow_mut().take();
        Poll::Ready(outcome.expect("the outcome of this child has been taken already"))
    }
}

impl<T> fmt::Debug for GroupHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle").field("finished", &self.is_finished()).finish()
    }
}
