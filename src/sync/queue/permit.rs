//! Room for one item.

use std::fmt;

use super::core::Endpoints;
use super::error::PutError;

/// Room for one item in a queue. Dropped without one, the room is given back.
#[must_use = "room that is not used is given back"]
pub struct Slot<'a, T> {
    /// `None` once the room has been used.
    queue: Option<&'a dyn Endpoints<T>>,
}

impl<'a, T> Slot<'a, T> {
    /// The caller has taken room.
    pub(super) fn new(queue: &'a dyn Endpoints<T>) -> Self {
        Self { queue: Some(queue) }
    }

    /// Puts an item. This never waits.
    ///
    /// # Errors
    ///
    /// The item, if the queue was shut down since the room was reserved.
    pub fn put(mut self, item: T) -> Result<(), PutError<T>> {
        self.queue.take().expect("the room is unused").insert(item)
    }
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue {
            queue.room().add(1);
        }
    }
}

impl<T> fmt::Debug for Slot<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}
