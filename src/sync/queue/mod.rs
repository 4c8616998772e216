//! Queues of items from producers to consumers, in three orders.
//!
//! - `core` is what all queues do, and `store` how each keeps its items.
//! - `permit` is room that was reserved, and `items` the queue as a stream.

mod core;
mod error;
mod items;
mod permit;
mod store;

use std::collections::VecDeque;
use std::fmt;

use self::core::Core;
pub use error::{PutError, QueueClosed, TryGetError, TryPutError};
pub use items::QueueItems;
pub use permit::QueuePermit;
use store::Smallest;

/// Defines the public queue type for one order. Each is a separate type, since a constructor of a
/// generic one could not infer the order.
macro_rules! queue {
    ($(#[$about:meta])* $name:ident <T $(: $bound:ident)?> keeps $store:ty) => {
        $(#[$about])*
        pub struct $name<T $(: $bound)?>(Core<$store>);

        impl<T $(: $bound)?> $name<T> {
            /// Creates a queue with room for `capacity` items.
            ///
            /// Putting one into a full queue waits.
            ///
            /// # Panics
            ///
            /// If `capacity` is zero.
            #[doc(alias = "channel")]
            #[track_caller]
            pub fn bounded(capacity: usize) -> Self {
                Self(Core::bounded(capacity))
            }

            /// Creates a queue that is never full.
            ///
            /// Only memory limits its producers: prefer a bounded queue.
            #[doc(alias = "unbounded_channel")]
            pub fn unbounded() -> Self {
                Self(Core::unbounded())
            }

            /// Puts an item. Waits for room if there is none.
            ///
            /// # Errors
            ///
            /// Returns the item if the queue is closed, or is closed during the wait.
            ///
            /// # Cancel safety
            ///
            /// Dropped before it completes, it has put nothing; the item is dropped with it. To
            /// keep the item, [reserve](Self::reserve) room for it first.
            #[doc(alias = "asyncio.Queue.put")]
            #[doc(alias = "send")]
            pub async fn put(&self, item: T) -> Result<(), PutError<T>> {
                self.0.put(item).await
            }

            /// Puts an item if there is room and no task waits for it.
            ///
            /// # Errors
            ///
            /// Returns the item, and why it was not put.
            #[doc(alias = "put_nowait")]
            #[doc(alias = "try_send")]
            pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
                self.0.try_put(item)
            }

            /// Waits for room for an item, and reserves it until the item is put.
            ///
            /// # Errors
            ///
            /// [`QueueClosed`] if the queue is closed, or is closed during the wait.
            ///
            /// # Cancel safety
            ///
            /// Dropped before it completes, it has reserved nothing.
            pub async fn reserve(&self) -> Result<QueuePermit<'_, T>, QueueClosed> {
                self.0.reserve().await?;
                Ok(QueuePermit::new(&self.0))
            }

            /// Takes the next item. Waits for one if there is none.
            ///
            /// # Errors
            ///
            /// [`QueueClosed`] if the queue is closed and all items have been taken, or dropped by
            /// [`close_now`](Self::close_now).
            ///
            /// # Cancel safety
            ///
            /// Dropped before it completes, it has taken no item.
            #[doc(alias = "asyncio.Queue.get")]
            #[doc(alias = "recv")]
            pub async fn get(&self) -> Result<T, QueueClosed> {
                self.0.get().await
            }

            /// Takes the next item if there is one that is not promised to a task that waits.
            ///
            /// # Errors
            ///
            /// [`TryGetError::Closed`] if the queue is closed, otherwise [`TryGetError::Empty`].
            #[doc(alias = "get_nowait")]
            #[doc(alias = "try_recv")]
            pub fn try_get(&self) -> Result<T, TryGetError> {
                self.0.try_get()
            }

            /// Returns the items as a stream, which ends when the queue is closed.
            #[doc(alias = "ReceiverStream")]
            pub fn items(&self) -> QueueItems<'_, T> {
                QueueItems::new(&self.0)
            }

            /// Reports that the work on one item is done: see [`Self::join`].
            ///
            /// # Panics
            ///
            /// If it is called more often than items were put.
            #[track_caller]
            pub fn task_done(&self) {
                self.0.task_done();
            }

            /// Waits until the work on all items that were put is done.
            ///
            /// That is, until [`task_done`](Self::task_done) has been called for each of them.
            ///
            /// # Cancel safety
            ///
            /// Dropping it before it completes has no effect.
            pub async fn join(&self) {
                self.0.join().await;
            }

            /// Closes the queue: it accepts no more items.
            ///
            /// Its items can still be taken. All waits for room fail, and all waits for an item
            /// once there is none.
            #[doc(alias = "asyncio.Queue.shutdown")]
            #[doc(alias = "shutdown")]
            pub fn close(&self) {
                self.0.close();
            }

            /// Closes the queue and drops its items, as if the work on them were done.
            ///
            /// All waits fail.
            #[doc(alias = "shutdown_now")]
            #[doc(alias = "immediate")]
            pub fn close_now(&self) {
                self.0.close_now();
            }

            /// Whether the queue was closed, in either way.
            #[doc(alias = "is_shut_down")]
            pub fn is_closed(&self) -> bool {
                self.0.is_closed()
            }

            /// The number of items, including those that are promised to a task that waits.
            #[doc(alias = "qsize")]
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether the queue has no items.
            #[doc(alias = "empty")]
            pub fn is_empty(&self) -> bool {
                self.0.len() == 0
            }

            /// Whether all room is used, reserved or promised to a task that waits.
            #[doc(alias = "full")]
            pub fn is_full(&self) -> bool {
                self.0.is_full()
            }

            /// The number of items that the queue has room for, if it is bounded.
            #[doc(alias = "maxsize")]
            pub fn capacity(&self) -> Option<usize> {
                self.0.capacity()
            }

            /// The number of items for which `task_done` has not been called yet.
            pub fn unfinished(&self) -> usize {
                self.0.unfinished()
            }
        }

        impl<T $(: $bound)?> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (getting, putting) = self.0.waiting();
                f.debug_struct(stringify!($name))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .field("getting", &getting)
                    .field("putting", &putting)
                    .field("unfinished", &self.unfinished())
                    .field("closed", &self.is_closed())
                    .finish()
            }
        }
    };
}

queue! {
    /// A queue of items: first in, first out.
    ///
    /// Producers [`put`](Queue::put), consumers [`get`](Queue::get); both are served first in,
    /// first out, as described in [the module](crate::sync#fairness). A getter that is notified is
    /// promised an item; which one is settled when it is polled.
    ///
    /// # Examples
    ///
    /// Workers that share the work, as in asyncio's documentation:
    ///
    /// ```
    /// use std::rc::Rc;
    /// use std::time::Duration;
    /// use annulus::spawn;
    /// use annulus::sync::Queue;
    /// use annulus::time::sleep;
    ///
    /// annulus::run(async {
    ///     let queue = Rc::new(Queue::unbounded());
    ///     for number in 0..20 {
    ///         queue.try_put(Duration::from_micros(number * 10)).unwrap();
    ///     }
    ///     let workers = [(); 3].map(|()| {
    ///         let queue = Rc::clone(&queue);
    ///         spawn(async move {
    ///             let mut slept = 0;
    ///             while let Ok(duration) = queue.get().await {
    ///                 sleep(duration).await;
    ///                 slept += 1;
    ///                 queue.task_done();
    ///             }
    ///             slept
    ///         })
    ///     });
    ///     queue.join().await;
    ///     queue.close();
    ///     let mut slept = 0;
    ///     for worker in workers {
    ///         slept += worker.await.unwrap();
    ///     }
    ///     assert_eq!(slept, 20);
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    ///
    /// Room that is reserved before there is an item, and the items as a stream:
    ///
    /// ```
    /// use annulus::sync::Queue;
    /// use futures_util::StreamExt;
    ///
    /// annulus::run(async {
    ///     let queue = Queue::bounded(2);
    ///     let permit = queue.reserve().await.unwrap();
    ///     queue.put("first").await.unwrap();
    ///     assert!(queue.try_put("no room").is_err());
    ///     permit.put("second").unwrap();
    ///     queue.close();
    ///     assert_eq!(queue.items().collect::<Vec<_>>().await, ["first", "second"]);
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.Queue")]
    #[doc(alias = "mpsc")]
    Queue<T> keeps VecDeque<T>
}

queue! {
    /// A queue that returns its smallest item first; of equal items, the one that was put first.
    ///
    /// Otherwise it is like [`Queue`]. The comparison of two items must not use the queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::PriorityQueue;
    ///
    /// annulus::run(async {
    ///     let queue = PriorityQueue::unbounded();
    ///     for entry in [(2, "code"), (1, "eat"), (3, "sleep")] {
    ///         queue.put(entry).await.unwrap();
    ///     }
    ///     assert_eq!(queue.get().await.unwrap(), (1, "eat"));
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.PriorityQueue")]
    PriorityQueue<T: Ord> keeps Smallest<T>
}

queue! {
    /// A queue that returns its newest item first.
    ///
    /// Otherwise it is like [`Queue`].
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::LifoQueue;
    ///
    /// annulus::run(async {
    ///     let queue = LifoQueue::unbounded();
    ///     for item in ["first", "second"] {
    ///         queue.put(item).await.unwrap();
    ///     }
    ///     assert_eq!(queue.get().await.unwrap(), "second");
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.LifoQueue")]
    LifoQueue<T> keeps Vec<T>
}
