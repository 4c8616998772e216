//! What all queues do, in whatever order they keep their items.
//!
//! Room and content are counted as permits: an item that is put takes one of room and adds one of
//! content. A getter that waits is so promised *an* item, which stays in the store until the getter
//! runs; one that is dropped, or forgotten, takes none with it.

use std::cell::{Cell, RefCell};
use std::mem;

use super::error::{PutError, ShutDown, TryGetError, TryPutError};
use super::store::Store;
use crate::sync::permits::Permits;
use crate::sync::wait::{notify, wait_until};
use crate::sync::wait_queue::WaitQueue;

/// The room of a queue that has no bound.
const UNBOUNDED: usize = usize::MAX >> 1;

pub(super) struct Core<S> {
    items: RefCell<S>,
    capacity: usize,
    room: Permits,
    /// How many items there are which nobody was promised.
    content: Permits,
    unfinished: Cell<usize>,
    joining: RefCell<WaitQueue<()>>,
}

impl<S: Store> Core<S> {
    #[track_caller]
    pub(super) fn bounded(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs room for an item");
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
        if self.is_shut_down() {
            return Err(TryPutError::ShutDown(item));
        }
        if !self.room.try_take(1) {
            return Err(TryPutError::Full(item));
        }
        self.insert(item).map_err(|PutError(item)| TryPutError::ShutDown(item))
    }

    pub(super) async fn reserve(&self) -> Result<(), ShutDown> {
        self.room.acquire(1).await.map_err(|_| ShutDown)?;
        if self.is_shut_down() { Err(ShutDown) } else { Ok(()) }
    }

    pub(super) async fn get(&self) -> Result<S::Item, ShutDown> {
        self.content.acquire(1).await.map_err(|_| ShutDown)?;
        self.remove().ok_or(ShutDown)
    }

    pub(super) fn try_get(&self) -> Result<S::Item, TryGetError> {
        if self.content.try_take(1) {
            return self.remove().ok_or(TryGetError::ShutDown);
        }
        Err(if self.is_shut_down() { TryGetError::ShutDown } else { TryGetError::Empty })
    }

    #[track_caller]
    pub(super) fn task_done(&self) {
        let rest = self.unfinished.get().checked_sub(1);
        self.set_unfinished(rest.expect("task_done was called for more items than were put"));
    }

    pub(super) async fn join(&self) {
        wait_until(&self.joining, || self.unfinished.get() == 0).await;
    }

    pub(super) fn shutdown(&self) {
        self.room.close();
        self.content.close();
    }

    pub(super) fn shutdown_now(&self) {
        self.room.close();
        // Destructors of items are foreign code: they come last.
        let items = mem::take(&mut *self.items.borrow_mut());
        // Whoever has, or still takes, a permit of content finds no item.
        self.content.close();
        if items.len() > 0 {
            self.set_unfinished(self.unfinished.get().saturating_sub(items.len()));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.borrow().len()
    }

    pub(super) fn is_full(&self) -> bool {
        // Room is no longer accounted for once nobody can use it.
        if self.is_shut_down() { self.len() >= self.capacity } else { self.room.must_wait(1) }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity < UNBOUNDED).then_some(self.capacity)
    }

    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.get()
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.room.is_closed()
    }

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

/// What slots and streams need of a queue, whatever its order.
pub(super) trait Endpoints<T> {
    fn room(&self) -> &Permits;

    fn content(&self) -> &Permits;

    /// Puts an item, for which the caller has taken room.
    fn insert(&self, item: T) -> Result<(), PutError<T>>;

    /// Takes the item that the caller was promised, unless the queue was emptied since.
    fn remove(&self) -> Option<T>;
}

impl<S: Store> Endpoints<S::Item> for Core<S> {
    fn room(&self) -> &Permits {
        &self.room
    }

    fn content(&self) -> &Permits {
        &self.content
    }

    fn insert(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        if self.is_shut_down() {
            return Err(PutError(item));
        }
        self.unfinished.set(self.unfinished.get() + 1);
        // Also if comparing items panics, the heap has taken the item.
        let _announced = AddedAtEnd(&self.content);
        self.items.borrow_mut().push(item);
        Ok(())
    }

    fn remove(&self) -> Option<S::Item> {
        let _made_room = AddedAtEnd(&self.room);
        self.items.borrow_mut().pop()
    }
}

/// Adds a permit when it is dropped.
struct AddedAtEnd<'a>(&'a Permits);

impl Drop for AddedAtEnd<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.add(1);
    }
}
