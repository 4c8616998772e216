//! Futures that are polled through their parent, each with a waker of its own.
//!
//! A child's waker puts the child's index into a queue and wakes the parent; the parent's poll polls
//! the children in that queue and no others. So a wake costs the same however many siblings there
//! are. The queue stands behind a lock, since wakers go anywhere; no foreign code (a waker, a child)
//! runs while it is held.
//!
//! Each poll of the parent begins by taking the queue as a whole and then works it off as a *batch*.
//! So a child that wakes itself has its next poll in the parent's next one, and others have their
//! turn between. Each poll of a child takes a unit of the task's allowance, so a large batch is
//! spread over turns.
//!
//! A child whose poll panics is gone: the panic goes on through the parent, and should that be
//! polled again, the other children go on.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker, ready};

use slab::Slab;

use crate::task::{Shrink, budget};

/// A growing set of futures, known by their indices.
pub(super) struct FutureSet<F> {
    slots: Slab<Slot<F>>,
    /// How many have not ended. A slot whose child has panicked stays, empty.
    alive: usize,
    /// What has been taken from the queue and not been polled yet.
    batch: VecDeque<usize>,
    calls: OwnCalls,
}

struct Slot<F> {
    /// Absent only while it is polled, or if that panicked.
    future: Option<F>,
    call: Arc<Call>,
    waker: Waker,
}

impl<F> FutureSet<F> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            slots: Slab::with_capacity(capacity),
            alive: 0,
            batch: VecDeque::with_capacity(capacity),
            calls: OwnCalls::default(),
        }
    }

    /// How many have not ended.
    pub(super) fn len(&self) -> usize {
        self.alive
    }

    /// Whether children that were woken together have been polled only in part.
    pub(super) fn is_amid_batch(&self) -> bool {
        // Without children, it may hold indices of those that have ended.
        self.alive > 0 && !self.batch.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &F> {
        self.slots.iter().filter_map(|(_, slot)| slot.future.as_ref())
    }

    /// Adds a child and gives its index, which a child that has ended may have had before. It is
    /// polled by the parent's next poll, whose business it is that there is one.
    pub(super) fn push(&mut self, future: F) -> usize {
        let entry = self.slots.vacant_entry();
        let index = entry.key();
        let call = Arc::new(Call {
            index,
            called: AtomicBool::new(true),
            calls: Arc::clone(&self.calls.0),
        });
        let waker = Waker::from(Arc::clone(&call));
        entry.insert(Slot { future: Some(future), call, waker });
        self.alive += 1;
        self.batch.push_back(index);
        index
    }

    /// Drops every child.
    pub(super) fn clear(&mut self) {
        self.batch.clear();
        self.alive = 0;
        drop(mem::take(&mut self.slots));
    }

    /// The children that have not ended, with their indices.
    pub(super) fn into_unfinished(mut self) -> impl Iterator<Item = (usize, F)> {
        let slots = mem::take(&mut self.slots);
        slots.into_iter().filter_map(|(index, slot)| Some((index, slot.future?)))
    }
}

impl<F: Future + Unpin> FutureSet<F> {
    /// The parent's poll begins: takes in which children have been woken. Those that are woken from
    /// here on wake the parent.
    pub(super) fn begin(&mut self, context: &Context<'_>) {
        self.calls.0.take(&mut self.batch, context.waker());
    }

    /// Polls the children of the batch until one ends. `None` if there is no child.
    pub(super) fn advance(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<(usize, F::Output)>> {
        while self.alive > 0 {
            let Some(&index) = self.batch.front() else { return Poll::Pending };
            ready!(budget::poll_spend(context));
            self.batch.pop_front();
            if let Poll::Ready(output) = self.poll_child(index) {
                return Poll::Ready(Some((index, output)));
            }
        }
        Poll::Ready(None)
    }

    /// Gives back what a crowd has left behind.
    fn shrink(&mut self) {
        let capacity = self.slots.capacity();
        self.slots.shrink();
        if self.slots.capacity() == capacity {
            return;
        }
        // There are no children. What stands in there is of some that have ended.
        self.batch.clear();
        self.batch.shrink();
        self.calls.0.shrink();
    }

    fn poll_child(&mut self, index: usize) -> Poll<F::Output> {
        // A waker outlives its child: the slot may be empty, or have a new tenant, which is then
        // polled once too often.
        let Some(slot) = self.slots.get_mut(index) else { return Poll::Pending };
        slot.call.answered();
        let Some(mut future) = slot.future.take() else { return Poll::Pending };
        self.alive -= 1;
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&slot.waker));
        if polled.is_pending() {
            slot.future = Some(future);
            self.alive += 1;
        } else {
            self.slots.remove(index);
            self.shrink();
        }
        polled
    }
}

impl<F> fmt::Debug for FutureSet<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutureSet").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What the wakers of all children share.
#[derive(Default)]
struct Calls {
    queue: Mutex<Queue>,
}

/// The set's own reference. A type of its own, so that the set has no destructor and may hold what
/// ends with it.
#[derive(Default)]
struct OwnCalls(Arc<Calls>);

impl Drop for OwnCalls {
    fn drop(&mut self) {
        // Wakers of children may live on; the parent's is not to live with them.
        let parent = self.0.lock().parent.take();
        drop(parent);
    }
}

#[derive(Default)]
struct Queue {
    /// Indices of children that have been woken.
    called: VecDeque<usize>,
    parent: Option<Waker>,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nobody panics while holding this lock")
    }

    /// Gives back memory of the queue, when there are no children.
    fn shrink(&self) {
        let mut queue = self.lock();
        queue.called.clear();
        queue.called.shrink();
    }

    /// Moves the queue to the end of `batch`. The next call wakes `parent`.
    fn take(&self, batch: &mut VecDeque<usize>, parent: &Waker) {
        let parent = parent.clone();
        let mut queue = self.lock();
        if batch.is_empty() {
            mem::swap(&mut queue.called, batch);
        } else {
            batch.append(&mut queue.called);
        }
        let old = queue.parent.replace(parent);
        drop(queue);
        drop(old);
    }
}

/// What stands behind one child's waker.
struct Call {
    index: usize,
    /// Whether the child stands in the queue or the batch.
    called: AtomicBool,
    calls: Arc<Calls>,
}

impl Call {
    /// The child is going to be polled. A wake from here on, also during the poll, calls it again.
    fn answered(&self) {
        // Acquire: the poll sees what was done before each wake that found this set.
        self.called.swap(false, Ordering::Acquire);
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.called.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut queue = self.calls.lock();
        queue.called.push_back(self.index);
        let parent = queue.parent.take();
        drop(queue);
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}
