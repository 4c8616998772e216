//! Queues of items from producers to consumers, in three orders.
//!
//! - `core` is what they all do, and `store` how each keeps its items.
//! - `slot` is room that was reserved, and `items` the queue as a stream.

mod core;
mod error;
mod items;
mod permit;
mod store;

use std::collections::VecDeque;
use std::fmt;

use self::core::Core;
pub use error::{PutError, ShutDown, TryGetError, TryPutError};
pub use items::Items;
pub use permit::Slot;
use store::Smallest;

/// The public face of the core, for one order. Each queue is a type of its own, since a constructor
/// of a generic one could not tell the order.
macro_rules! queue {
    ($(#[$about:meta])* $name:ident <T $(: $bound:ident)?> keeps $store:ty) => {
        $(#[$about])*
        pub struct $name<T $(: $bound)?>(Core<$store>);

        impl<T $(: $bound)?> $name<T> {
            /// A queue with room for so many items. Putting one into a full queue waits.
            ///
            /// # Panics
            ///
            /// If there is room for none.
            #[track_caller]
            pub fn bounded(capacity: usize) -> Self {
                Self(Core::bounded(capacity))
            }

            /// A queue that is never full. Nothing but memory holds its producers back: prefer one
            /// with a bound.
            pub fn unbounded() -> Self {
                Self(Core::unbounded())
            }

            /// Puts an item, and waits for room if there is none.
            ///
            /// # Errors
            ///
            /// The item, if the queue is shut down, or is shut down meanwhile.
            ///
            /// # Cancel safety
            ///
            /// Dropped, it has put nothing; the item is dropped with it. To keep the item, reserve
            /// room for it first.
            pub async fn put(&self, item: T) -> Result<(), PutError<T>> {
                self.0.put(item).await
            }

            /// Puts an item if there is room and nobody waits for it.
            ///
            /// # Errors
            ///
            /// The item, and why it was not put.
            #[doc(alias = "put_nowait")]
            pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
                self.0.try_put(item)
            }

            /// Waits for room for an item, and keeps it until the item is put.
            ///
            /// # Errors
            ///
            /// [`ShutDown`] if the queue is shut down, or is shut down meanwhile.
            ///
            /// # Cancel safety
            ///
            /// Dropped, it has reserved nothing.
            pub async fn reserve(&self) -> Result<Slot<'_, T>, ShutDown> {
                self.0.reserve().await?;
                Ok(Slot::new(&self.0))
            }

            /// Takes an item, and waits for one if there is none.
            ///
            /// # Errors
            ///
            /// [`ShutDown`] if the queue was shut down, once its items have been taken; at once if it
            /// was [emptied](Self::shutdown_now).
            ///
            /// # Cancel safety
            ///
            /// Dropped, it has taken no item.
            pub async fn get(&self) -> Result<T, ShutDown> {
                self.0.get().await
            }

            /// Takes an item if there is one that is not promised to somebody who waits.
            ///
            /// # Errors
            ///
            /// Says whether the queue is empty or shut down.
            #[doc(alias = "get_nowait")]
            pub fn try_get(&self) -> Result<T, TryGetError> {
                self.0.try_get()
            }

            /// The items, as a stream that ends when the queue is shut down.
            pub fn items(&self) -> Items<'_, T> {
                Items::new(&self.0)
            }

            /// Says that the work on one item is done: see [`Self::join`].
            ///
            /// # Panics
            ///
            /// If it is called more often than items were put.
            #[track_caller]
            pub fn task_done(&self) {
                self.0.task_done();
            }

            /// Waits until the work on all items that were put is done: until
            /// [`task_done`](Self::task_done) has been called for each of them.
            ///
            /// # Cancel safety
            ///
            /// Dropped, nothing happens.
            pub async fn join(&self) {
                self.0.join().await;
            }

            /// Takes no more items. Those that are there can still be taken; who waits for room, or
            /// for an item when there is none, gets an error.
            pub fn shutdown(&self) {
                self.0.shutdown();
            }

            /// Shuts down at once: drops the items that are there, as if the work on them were done,
            /// and gives an error to all that wait.
            #[doc(alias = "immediate")]
            pub fn shutdown_now(&self) {
                self.0.shutdown_now();
            }

            /// Whether it was shut down, in either way.
            pub fn is_shut_down(&self) -> bool {
                self.0.is_shut_down()
            }

            /// How many items are there, also those that are promised to somebody.
            #[doc(alias = "qsize")]
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there are no items.
            #[doc(alias = "empty")]
            pub fn is_empty(&self) -> bool {
                self.0.len() == 0
            }

            /// Whether there is no room that is not reserved or promised to somebody.
            #[doc(alias = "full")]
            pub fn is_full(&self) -> bool {
                self.0.is_full()
            }

            /// For how many items there is room at most, if there is a bound.
            #[doc(alias = "maxsize")]
            pub fn capacity(&self) -> Option<usize> {
                self.0.capacity()
            }

            /// For how many of the items that were put `task_done` has not been called.
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
                    .field("shut_down", &self.is_shut_down())
                    .finish()
            }
        }
    };
}

queue! {
    /// A queue of items: first in, first out.
    ///
    /// Producers [`put`](Queue::put), consumers [`get`](Queue::get); both wait in turn, as
    /// [the module](crate::sync#fairness) says. That a getter's turn has come means that it is
    /// promised an item; which one is settled when it runs.
    ///
    /// # Example
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
    ///     queue.shutdown();
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
    ///     let slot = queue.reserve().await.unwrap();
    ///     queue.put("first").await.unwrap();
    ///     assert!(queue.try_put("no room").is_err());
    ///     slot.put("second").unwrap();
    ///     queue.shutdown();
    ///     assert_eq!(queue.items().collect::<Vec<_>>().await, ["first", "second"]);
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.Queue")]
    #[doc(alias = "mpsc")]
    Queue<T> keeps VecDeque<T>
}

queue! {
    /// A queue whose smallest item comes first; of equal ones, the one that was put first.
    ///
    /// It is otherwise as [`Queue`]. While it compares two items it may not be used by the comparison.
    ///
    /// # Example
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
    /// A queue whose newest item comes first.
    ///
    /// It is otherwise as [`Queue`].
    ///
    /// # Example
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
