//! A set of futures that are polled through their parent, each with its own waker.
//!
//! A child's waker puts the child's index into the *wake queue* and wakes the parent; the parent's
//! poll then polls the children in that queue and no others. So a wake costs the same however many
//! siblings there are. The queue is behind a lock, since a waker may be used on any thread; no
//! foreign code (a waker, a child) runs while it is held.
//!
//! Each poll of the parent takes the whole queue first and then works it off as a *batch*. A child
//! that wakes itself is therefore polled again in the parent's next poll, after its siblings. Each
//! poll of a child spends a unit of the task's budget, so a large batch is spread over several
//! polls of the task.
//!
//! A child whose poll panics is dropped. The panic goes on through the parent; if the parent is
//! polled again, the other children continue.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker, ready};

use slab::Slab;

use crate::task::{Shrink, coop};

/// A growing set of futures, identified by their indices.
pub(super) struct FutureSet<F> {
    children: Slab<Child<F>>,
    /// How many have not ended. The entry of a child that has panicked stays, without its future.
    alive: usize,
    /// Indices that were taken from the wake queue and have not been polled yet.
    batch: VecDeque<usize>,
    queue: OwnedQueue,
}

struct Child<F> {
    /// `None` while it is polled, and after a panic of that poll.
    future: Option<F>,
    wake_state: Arc<ChildWaker>,
    waker: Waker,
}

impl<F> FutureSet<F> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            children: Slab::with_capacity(capacity),
            alive: 0,
            batch: VecDeque::with_capacity(capacity),
            queue: OwnedQueue::default(),
        }
    }

    /// The futures, and room for one output of each, both by their index in the order given.
    pub(super) fn with_outputs<T>(futures: impl Iterator<Item = F>) -> (Self, Vec<Option<T>>) {
        let set: Self = futures.collect();
        let outputs = std::iter::repeat_with(|| None).take(set.len()).collect();
        (set, outputs)
    }

    /// How many have not ended.
    pub(super) fn len(&self) -> usize {
        self.alive
    }

    /// Whether only a part of the children that were woken together has been polled.
    pub(super) fn is_amid_batch(&self) -> bool {
        // Without children, the batch may hold indices of children that have ended.
        self.alive > 0 && !self.batch.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &F> {
        self.children.iter().filter_map(|(_, child)| child.future.as_ref())
    }

    /// Adds a child and returns its index, which a child that has ended may have had before. The
    /// parent's next poll polls it; the caller sees to it that there is one.
    pub(super) fn push(&mut self, future: F) -> usize {
        let entry = self.children.vacant_entry();
        let index = entry.key();
        let wake_state = Arc::new(ChildWaker {
            index,
            is_queued: AtomicBool::new(true),
            queue: Arc::clone(&self.queue.0),
        });
        let waker = Waker::from(Arc::clone(&wake_state));
        entry.insert(Child { future: Some(future), wake_state, waker });
        self.alive += 1;
        self.batch.push_back(index);
        index
    }

    /// Drops every child.
    pub(super) fn clear(&mut self) {
        self.batch.clear();
        self.alive = 0;
        drop(mem::take(&mut self.children));
    }

    /// The children that have not ended, with their indices.
    pub(super) fn into_unfinished(mut self) -> impl Iterator<Item = (usize, F)> {
        let children = mem::take(&mut self.children);
        children.into_iter().filter_map(|(index, child)| Some((index, child.future?)))
    }
}

/// The indices follow the order of the iterator.
impl<F> FromIterator<F> for FutureSet<F> {
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let futures = futures.into_iter();
        let mut set = Self::with_capacity(futures.size_hint().0);
        // An empty slab gives out its keys in order.
        for future in futures {
            set.push(future);
        }
        set
    }
}

impl<F: Future + Unpin> FutureSet<F> {
    /// Begins a poll of the parent: takes the indices of the children that have been woken. A child
    /// that is woken from here on wakes the parent.
    pub(super) fn begin(&mut self, context: &Context<'_>) {
        self.queue.0.take(&mut self.batch, context.waker());
    }

    /// Polls the children of the batch until one ends. `None` if the set is empty.
    pub(super) fn advance(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<(usize, F::Output)>> {
        while self.alive > 0 {
            let Some(&index) = self.batch.front() else { return Poll::Pending };
            ready!(coop::poll_spend(context));
            self.batch.pop_front();
            if let Poll::Ready(output) = self.poll_child(index) {
                return Poll::Ready(Some((index, output)));
            }
        }
        Poll::Ready(None)
    }

    /// Frees memory that many children needed and few do not.
    fn shrink(&mut self) {
        let capacity = self.children.capacity();
        self.children.shrink();
        if self.children.capacity() == capacity {
            return;
        }
        // The slab shrinks only when it is empty: the indices below are of children that have
        // ended.
        self.batch.clear();
        self.batch.shrink();
        self.queue.0.shrink();
    }

    fn poll_child(&mut self, index: usize) -> Poll<F::Output> {
        // A waker outlives its child: the entry may be vacant, or hold another child, which is then
        // polled once too often.
        let Some(child) = self.children.get_mut(index) else { return Poll::Pending };
        child.wake_state.note_poll();
        let Some(mut future) = child.future.take() else { return Poll::Pending };
        self.alive -= 1;
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&child.waker));
        if polled.is_pending() {
            child.future = Some(future);
            self.alive += 1;
        } else {
            self.children.remove(index);
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

/// Which children have been woken: what the wakers of all children share.
#[derive(Default)]
struct WakeQueue {
    state: Mutex<QueueState>,
}

/// The set's own reference. A separate type, so that the set itself has no destructor, and its type
/// parameter may hold references that end together with it.
#[derive(Default)]
struct OwnedQueue(Arc<WakeQueue>);

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // Wakers of children may outlive the set; the parent's waker must not live as long as they.
        let parent = self.0.lock().parent.take();
        drop(parent);
    }
}

#[derive(Default)]
struct QueueState {
    /// Indices of children that have been woken.
    woken: VecDeque<usize>,
    parent: Option<Waker>,
}

impl WakeQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().expect("no code that may panic runs under this lock")
    }

    /// Frees the queue's memory. There must be no children.
    fn shrink(&self) {
        let mut state = self.lock();
        state.woken.clear();
        state.woken.shrink();
    }

    /// Moves the queue to the end of `batch`. The next wake of a child wakes `parent`.
    fn take(&self, batch: &mut VecDeque<usize>, parent: &Waker) {
        let parent = parent.clone();
        let mut state = self.lock();
        if batch.is_empty() {
            mem::swap(&mut state.woken, batch);
        } else {
            batch.append(&mut state.woken);
        }
        let old = state.parent.replace(parent);
        drop(state);
        drop(old);
    }
}

/// The state behind one child's waker.
struct ChildWaker {
    index: usize,
    /// Whether the index is in the queue or the batch.
    is_queued: AtomicBool,
    queue: Arc<WakeQueue>,
}

impl ChildWaker {
    /// The child is about to be polled. A wake from here on, also during the poll, queues it again.
    fn note_poll(&self) {
        // Acquire: the poll sees what was done before each wake that found this flag set.
        self.is_queued.swap(false, Ordering::Acquire);
    }
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.queue.lock();
        state.woken.push_back(self.index);
        let parent = state.parent.take();
        drop(state);
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}
