//! What all queues do, in whatever order they keep their items.
//!
//! Room and content are counted as permits: putting an item takes a permit of room and adds one of
//! content. So a getter that waits is promised *an* item, which stays in the store until the getter
//! is polled; a getter that is dropped or forgotten takes no item with it.

use std::cell::{Cell, RefCell};
use std::mem;

use super::error::{PutError, QueueClosed, TryGetError, TryPutError};
use super::store::Store;
use crate::sync::permits::Permits;
use crate::sync::wait::{notify, wait_until};
use crate::sync::wait_queue::WaitQueue;

/// The room of a queue without a bound.
const UNBOUNDED: usize = usize::MAX >> 1;

pub(super) struct Core<S> {
    items: RefCell<S>,
    capacity: usize,
    room: Permits,
    /// How many items are not promised to a waiter.
    content: Permits,
    unfinished: Cell<usize>,
    joining: RefCell<WaitQueue<()>>,
}

impl<S: Store> Core<S> {
    #[track_caller]
    pub(super) fn bounded(capacity: usize) -> Self {
        assert!(capacity > 0, "`bounded(0)`: a queue needs room for at least one item");
        Self {
            items: RefCell::default(),
            capacity,
            room: Permits::new(capacity),
            content: Permits::new(0),
            unfinished: Cell::new(0),
            joining: RefCell::new(WaitQueue::new()),
        }
    }

    pub(super) fn unbounded() -> Self {
        Self::bounded(UNBOUNDED)
    }

    pub(super) async fn put(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        match self.room.acquire(1).await {
            Ok(()) => self.insert(item),
            Err(_) => Err(PutError(item)),
        }
    }

    pub(super) fn try_put(&self, item: S::Item) -> Result<(), TryPutError<S::Item>> {
        if self.is_closed() {
            return Err(TryPutError::Closed(item));
        }
        if !self.room.try_take(1) {
            return Err(TryPutError::Full(item));
        }
        self.insert(item).map_err(|PutError(item)| TryPutError::Closed(item))
    }

    pub(super) async fn reserve(&self) -> Result<(), QueueClosed> {
        self.room.acquire(1).await.map_err(|_| QueueClosed)?;
        if self.is_closed() { Err(QueueClosed) } else { Ok(()) }
    }

    pub(super) async fn get(&self) -> Result<S::Item, QueueClosed> {
        self.content.acquire(1).await.map_err(|_| QueueClosed)?;
        self.remove().ok_or(QueueClosed)
    }

    pub(super) fn try_get(&self) -> Result<S::Item, TryGetError> {
        if self.content.try_take(1) {
            return self.remove().ok_or(TryGetError::Closed);
        }
        Err(if self.is_closed() { TryGetError::Closed } else { TryGetError::Empty })
    }

    #[track_caller]
    pub(super) fn task_done(&self) {
        let rest = self.unfinished.get().checked_sub(1);
        self.set_unfinished(rest.expect("`task_done` called for more items than were put"));
    }

    pub(super) async fn join(&self) {
        wait_until(&self.joining, || self.unfinished.get() == 0).await;
    }

    pub(super) fn close(&self) {
        self.room.close();
        self.content.close();
    }

    pub(super) fn close_now(&self) {
        self.room.close();
        // Destructors of items are foreign code: they run last.
        let items = mem::take(&mut *self.items.borrow_mut());
        // A getter that has a permit of content, or still takes one, finds no item.
        self.content.close();
        if items.len() > 0 {
            self.set_unfinished(self.unfinished.get().saturating_sub(items.len()));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.borrow().len()
    }

    pub(super) fn is_full(&self) -> bool {
        // Once the queue is closed, the permits of room no longer say how much there is.
        if self.is_closed() { self.len() >= self.capacity } else { self.room.must_wait(1) }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity < UNBOUNDED).then_some(self.capacity)
    }

    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.get()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    /// How many getters and putters wait.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.content.waiting(), self.room.waiting())
    }

    fn set_unfinished(&self, unfinished: usize) {
        self.unfinished.set(unfinished);
        if unfinished == 0 {
            notify(&self.joining, usize::MAX);
        }
    }
}

/// What permits and streams need of a queue, whatever its order.
pub(super) trait QueueAccess<T> {
    fn room(&self) -> &Permits;

    fn content(&self) -> &Permits;

    /// Puts an item, for which the caller has taken a permit of room.
    fn insert(&self, item: T) -> Result<(), PutError<T>>;

    /// Takes an item, for which the caller has taken a permit of content. `None` if the queue was
    /// emptied since.
    fn remove(&self) -> Option<T>;
}

impl<S: Store> QueueAccess<S::Item> for Core<S> {
    fn room(&self) -> &Permits {
        &self.room
    }

    fn content(&self) -> &Permits {
        &self.content
    }

    fn insert(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        if self.is_closed() {
            return Err(PutError(item));
        }
        self.unfinished.set(self.unfinished.get() + 1);
        // On drop, since the heap has the item even if comparing items panics.
        let _announce = AddOnDrop(&self.content);
        self.items.borrow_mut().push(item);
        Ok(())
    }

    fn remove(&self) -> Option<S::Item> {
        let _return_room = AddOnDrop(&self.room);
        self.items.borrow_mut().pop()
    }
}

/// Adds a permit when it is dropped.
struct AddOnDrop<'a>(&'a Permits);

impl Drop for AddOnDrop<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.add(1);
    }
}
