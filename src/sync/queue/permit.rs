//! Room that was reserved for one item.

use std::fmt;

use super::core::QueueAccess;
use super::error::PutError;

/// Reserved room for one item in a queue.
///
/// Dropped without putting one, the room is returned.
#[must_use = "room that is not used is returned"]
#[doc(alias = "Permit")]
pub struct QueuePermit<'a, T> {
    /// `None` once the room has been used.
    queue: Option<&'a dyn QueueAccess<T>>,
}

impl<'a, T> QueuePermit<'a, T> {
    /// The caller has taken a permit of room.
    pub(super) fn new(queue: &'a dyn QueueAccess<T>) -> Self {
        Self { queue: Some(queue) }
    }

    /// Puts an item. This never waits.
    ///
    /// # Errors
    ///
    /// Returns the item if the queue was closed after the room was reserved.
    #[doc(alias = "send")]
    pub fn put(mut self, item: T) -> Result<(), PutError<T>> {
        self.queue.take().expect("the room is unused").insert(item)
    }
}

impl<T> Drop for QueuePermit<'_, T> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue {
            queue.room().add(1);
        }
    }
}

impl<T> fmt::Debug for QueuePermit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueuePermit")
    }
}
