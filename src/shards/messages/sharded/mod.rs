//! A value for each shard: how it is made, reached on its own shard, and stopped. [`run_on`] has
//! the calls that reach it from another.

mod run_on;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::incarnation::Incarnation;
use super::making::{Making, check_wait};
use super::start_on::start_on;
use crate::join::gather;
use crate::runtime::spawn;
use crate::shards::Shard;
use crate::sync::Lock;
use crate::task::JoinError;

type Made<T> = Pin<Box<dyn Future<Output = T>>>;

/// A value for each shard, made, used and dropped on its own shard.
///
/// The values need not be `Send`; what is sent are closures that are given a reference to the value
/// of the shard that runs them. This handle can be cloned and sent to any thread, and is used on
/// shards: its methods panic elsewhere.
///
/// A shard's value is made when it is first asked for, by [`get`](Self::get) on its own shard or a
/// call from any, or for all shards together by [`start`](Self::start). It is dropped when
/// [`stop`](Self::stop) is called, when the last handle is dropped, or when its shard ends. A shard
/// that is restarted makes a new one.
///
/// # Example
///
/// A map whose keys are spread over the shards:
///
/// ```
/// use std::cell::RefCell;
/// use std::collections::HashMap;
/// use annulus::Shards;
/// use annulus::shards::Sharded;
///
/// let store = Sharded::new(async |_| RefCell::new(HashMap::<u64, String>::new()));
/// Shards::builder().count(2).run(async |shard| {
///     let owner = |key: u64| key as usize % shard.count();
///     let key = shard.index() as u64;
///     store.run_on(owner(key), move |map| map.borrow_mut().insert(key, "text".into())).await?;
///     let found = store.run_on(owner(key), move |map| map.borrow().get(&key).cloned()).await?;
///     assert_eq!(found.as_deref(), Some("text"));
///     Ok::<_, annulus::task::JoinError>(())
/// })?;
/// # Ok::<(), annulus::shards::ShardsError>(())
/// ```
#[doc(alias = "thread_local")]
#[doc(alias = "LocalKey")]
pub struct Sharded<T: 'static> {
    inner: Arc<Inner<T>>,
}

struct Inner<T: 'static> {
    id: u64,
    make: Box<dyn Fn(Shard) -> Made<T> + Send + Sync>,
    is_stopped: AtomicBool,
    /// What the shards' values look at: dead once there is no handle. `None` while it is dropped.
    owner: Option<Arc<()>>,
    /// The shards that have made a value.
    holders: Mutex<Vec<Weak<Incarnation>>>,
}

impl<T: 'static> Sharded<T> {
    /// Creates a handle. No value is made yet.
    ///
    /// `make` is called on each shard, when its value is first asked for. It must not wait for the
    /// value of its own shard: a [`get`](Self::get) in it panics, and a call to its own shard, or a
    /// `get` in another task that it waits for, never ends.
    ///
    /// # Example
    ///
    /// ```
    /// use std::cell::Cell;
    /// use annulus::Shards;
    /// use annulus::shards::Sharded;
    ///
    /// let hits = Sharded::new(async |_| Cell::new(0));
    /// Shards::builder().count(2).run(async |shard| {
    ///     hits.run_on(shard.index(), |hits| hits.set(hits.get() + 1)).await?;
    ///     assert_eq!(hits.run_on(shard.index(), |hits| hits.get()).await?, 1);
    ///     Ok::<_, annulus::task::JoinError>(())
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    pub fn new<F>(make: F) -> Self
    where
        F: AsyncFn(Shard) -> T + Send + Sync + 'static,
    {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let make = Arc::new(make);
        let make = move |shard| -> Made<T> {
            let make = Arc::clone(&make);
            Box::pin(async move { make(shard).await })
        };
        Self {
            inner: Arc::new(Inner {
                id: LAST.fetch_add(1, Ordering::Relaxed),
                make: Box::new(make),
                is_stopped: AtomicBool::new(false),
                owner: Some(Arc::new(())),
                holders: Mutex::default(),
            }),
        }
    }

    /// Creates a handle and the values of all shards, and waits until they are made.
    ///
    /// # Errors
    ///
    /// The first error of a shard, in the order of their indices: [`JoinError::Panicked`] if `make`
    /// panicked there, [`JoinError::Ended`] if the shard has ended. The values that were made are
    /// dropped.
    ///
    /// # Panics
    ///
    /// If this thread is not that of a shard.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the values that were made are dropped on their shards.
    pub async fn start<F>(shard: &Shard, make: F) -> Result<Self, JoinError>
    where
        F: AsyncFn(Shard) -> T + Send + Sync + 'static,
    {
        let sharded = Self::new(make);
        let all = (0..shard.count()).map(|index| sharded.make_on(index)).collect::<Vec<_>>();
        gather(all).await.into_iter().collect::<Result<(), _>>()?;
        Ok(sharded)
    }

    /// Returns this shard's value, and makes it first if there is none.
    ///
    /// # Errors
    ///
    /// [`JoinError::Ended`] after [`stop`](Self::stop), and in a destructor while the shard ends.
    ///
    /// # Panics
    ///
    /// If this thread is not that of a shard, and in the `make` of this value.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it makes the value, the future of `make` is dropped, too. Another caller that
    /// waits for the value makes it then.
    ///
    /// # Example
    ///
    /// ```
    /// use std::cell::RefCell;
    /// use annulus::Shards;
    /// use annulus::shards::Sharded;
    ///
    /// let lines = Sharded::new(async |_| RefCell::new(Vec::new()));
    /// Shards::builder().count(2).run(async |_| {
    ///     let own = lines.get().await?;
    ///     own.borrow_mut().push("started");
    ///     assert_eq!(own.borrow().len(), 1);
    ///     Ok::<_, annulus::task::JoinError>(())
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    pub async fn get(&self) -> Result<Rc<T>, JoinError> {
        let shard = Shard::current();
        let (port, id) = (shard.port(), self.inner.id);
        if let Some(value) = port.values().get(id) {
            return Ok(value);
        }
        check_wait(id);
        let making = self.making(&shard).ok_or(JoinError::Ended)?;
        let _making = making.lock_owned().await;
        // Another task may have made it meanwhile.
        if let Some(value) = port.values().get(id) {
            return Ok(value);
        }
        if self.is_stopped() {
            return Err(JoinError::Ended);
        }
        let make = (self.inner.make)(shard.clone());
        let value = Rc::new(Making { id, make }.await);
        // It may have been stopped while it was made.
        if self.is_stopped() || port.values().put(id, Rc::clone(&value)).is_err() {
            return Err(JoinError::Ended);
        }
        Ok(value)
    }

    /// Returns this shard's value, if it was made.
    ///
    /// # Panics
    ///
    /// If this thread is not that of a shard.
    #[must_use]
    pub fn try_local(&self) -> Option<Rc<T>> {
        Shard::current().port().values().get(self.inner.id)
    }

    /// Returns this shard's value.
    ///
    /// # Panics
    ///
    /// If it was not made yet, or was stopped, and if this thread is not that of a shard.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::Shards;
    /// use annulus::shards::Sharded;
    ///
    /// Shards::builder().count(2).run(async |shard| {
    ///     if shard.index() == 0 {
    ///         let index = Sharded::start(&shard, async |shard| shard.index()).await?;
    ///         assert_eq!(*index.local(), 0);
    ///     }
    ///     Ok::<_, annulus::task::JoinError>(())
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn local(&self) -> Rc<T> {
        self.try_local().expect(
            "`Sharded::local` called before this shard's value was made, or after it was stopped: \
             await `get` first",
        )
    }

    /// Takes every shard's value out, and runs an async closure with it there.
    ///
    /// No value is made any more, and calls fail with [`JoinError::Ended`]. A shard that has no
    /// value is left out. Each value is dropped on its shard, when the closure and every other
    /// owner of the `Rc` have dropped it.
    ///
    /// # Errors
    ///
    /// The first error of a shard, in the order of their indices, when the closure has ended on all
    /// of them.
    ///
    /// # Panics
    ///
    /// If this thread is not that of a shard.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the values are stopped nonetheless, and the closure runs with
    /// them. If this shard ends then, a shard whose queue of [calls](crate::Handle) is full keeps
    /// its value until the last handle is dropped.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::Shards;
    /// use annulus::shards::Sharded;
    ///
    /// Shards::builder().count(2).run(async |shard| {
    ///     if shard.index() == 0 {
    ///         let log = Sharded::start(&shard, async |shard| vec![shard.index()]).await?;
    ///         log.stop(async |lines| println!("{lines:?}")).await?;
    ///     }
    ///     Ok::<_, annulus::task::JoinError>(())
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    pub async fn stop<F>(&self, closure: F) -> Result<(), JoinError>
    where
        F: AsyncFn(Rc<T>) + Send + Sync + 'static,
    {
        self.inner.is_stopped.store(true, Ordering::Release);
        let (closure, shard) = (Arc::new(closure), Shard::current());
        let stopping = (0..shard.count()).map(|index| {
            let (closure, sharded) = (Arc::clone(&closure), self.clone());
            let stop = async move || {
                let shard = Shard::current();
                let port = shard.port();
                // A value that is being made is there after this, or was refused.
                let Some(making) = sharded.making(&shard) else { return };
                let _made = making.lock_owned().await;
                if let Some(value) = port.values().take::<T>(sharded.inner.id) {
                    closure(value).await;
                }
            };
            // In a task, which continues if this is dropped while the queue is full.
            let shard = shard.clone();
            let mut started = spawn(async move { start_on(&shard, index, stop).await });
            async move { (&mut started).await??.await }
        });
        gather(stopping.collect::<Vec<_>>()).await.into_iter().collect()
    }

    fn is_stopped(&self) -> bool {
        self.inner.is_stopped.load(Ordering::Acquire)
    }

    /// The lock under which the value of this shard is made; `None` if the shard has ended.
    fn making(&self, shard: &Shard) -> Option<Rc<Lock<()>>> {
        let port = shard.port();
        port.values().making(self.inner.id, || self.inner.register(port.incarnation()))
    }

    /// Makes the value of a shard, if there is none.
    async fn make_on(&self, index: usize) -> Result<(), JoinError> {
        let sharded = self.clone();
        let make = async move || sharded.get().await.map(drop);
        start_on(&Shard::current(), index, make).await?.await?
    }
}

impl<T> Inner<T> {
    /// Notes that a shard is about to have a value. Returns what the value looks at.
    fn register(&self, holder: &Arc<Incarnation>) -> Weak<()> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.retain(|holder| holder.strong_count() > 0);
        holders.push(Arc::downgrade(holder));
        self.owner.as_ref().map(Arc::downgrade).unwrap_or_default()
    }
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        // Before the shards look.
        self.owner = None;
        let holders = self.holders.get_mut().unwrap_or_else(PoisonError::into_inner);
        for holder in holders.drain(..).filter_map(|holder| holder.upgrade()) {
            holder.signal_itself();
        }
    }
}

impl<T> Clone for Sharded<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> fmt::Debug for Sharded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded")
            .field("id", &self.inner.id)
            .field("is_stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}
