//! What the code of a shard sees of the others.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use super::end_gate::EndGate;
use super::messages::Port;
use crate::runtime::Handle;
use crate::shutdown::Shutdown;

/// One of the shards, as seen by the code that runs on it.
///
/// It is cheap to clone, and stays on its thread: code that is sent to another shard gets that
/// shard's by [`Shard::current`].
#[derive(Clone)]
pub struct Shard {
    inner: Rc<Inner>,
}

struct Inner {
    index: usize,
    cpu: Option<usize>,
    run: Arc<Run>,
    /// Of this incarnation.
    port: RefCell<Rc<Port>>,
}

/// What the shards of one `run` share.
pub(crate) struct Run {
    /// Of each shard, by index. They also reach the runtimes of restarted shards.
    pub(super) handles: Vec<Handle>,
    pub(super) shutdown: Shutdown,
    pub(super) end: EndGate,
    /// Whether ctrl-c has cancelled the closures.
    pub(super) is_interrupted: AtomicBool,
    extensions: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

impl Run {
    pub(super) fn new(handles: Vec<Handle>, shutdown: Shutdown) -> Self {
        let end = EndGate::new(handles.len());
        Self {
            handles,
            shutdown,
            end,
            is_interrupted: AtomicBool::new(false),
            extensions: Mutex::default(),
        }
    }

    /// What another room keeps for this run: one value of each type, made when it is first used.
    pub(crate) fn extension<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut extensions = self.extensions.lock().unwrap_or_else(PoisonError::into_inner);
        let of_type = extensions.iter().find_map(|any| Arc::clone(any).downcast().ok());
        of_type.unwrap_or_else(|| {
            let made = Arc::new(T::default());
            extensions.push(Arc::<T>::clone(&made));
            made
        })
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Shard>> = const { RefCell::new(None) };
}

impl Shard {
    pub(super) fn new(index: usize, cpu: Option<usize>, run: Arc<Run>, port: Rc<Port>) -> Self {
        Self { inner: Rc::new(Inner { index, cpu, run, port: RefCell::new(port) }) }
    }

    /// The shard of this thread.
    ///
    /// # Panics
    ///
    /// If this thread is not that of a shard.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::Shards;
    /// use annulus::shards::Shard;
    ///
    /// Shards::builder().count(2).run(async |shard| {
    ///     let task = annulus::spawn(async { Shard::current().index() });
    ///     assert_eq!(task.await.unwrap(), shard.index());
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    #[track_caller]
    pub fn current() -> Self {
        Self::try_current().expect(
            "this thread is not a shard's: call this in the closure of `ShardsBuilder::run`",
        )
    }

    /// The shard of this thread, if it is that of a shard.
    pub fn try_current() -> Option<Self> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// The number of this shard: from 0 to [`count`](Self::count) - 1.
    pub fn index(&self) -> usize {
        self.inner.index
    }

    /// How many shards there are.
    pub fn count(&self) -> usize {
        self.inner.run.handles.len()
    }

    /// The handle of a shard, by which this one starts tasks on it. Also of this shard itself.
    ///
    /// A shard whose closure has returned still runs the tasks that others start, until all
    /// closures have.
    ///
    /// # Panics
    ///
    /// If there is no shard of this index.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::Shards;
    /// use annulus::shards::Shard;
    ///
    /// let neighbours = Shards::builder().count(3).run(async |shard| {
    ///     let next = (shard.index() + 1) % shard.count();
    ///     let task = shard.handle(next).spawn(|| async { Shard::current().index() }).unwrap();
    ///     task.await.unwrap()
    /// })?;
    /// assert_eq!(neighbours, [1, 2, 0]);
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    #[track_caller]
    pub fn handle(&self, index: usize) -> &Handle {
        let count = self.count();
        self.inner.run.handles.get(index).unwrap_or_else(|| {
            panic!("there is no shard {index}: the last of {count} shards is {}", count - 1)
        })
    }

    /// The request that all shards end.
    ///
    /// It is that of [`ShardsBuilder::shutdown`](crate::shards::ShardsBuilder::shutdown), or one
    /// that the shards alone share. A closure that serves until it is cancelled waits for it.
    ///
    /// # Example
    ///
    /// ```
    /// annulus::Shards::builder().count(2).run(async |shard| {
    ///     if shard.index() == 1 {
    ///         shard.shutdown().request();
    ///     }
    ///     shard.shutdown().requested().await;
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    pub fn shutdown(&self) -> &Shutdown {
        &self.inner.run.shutdown
    }

    /// The CPU that this shard is pinned to, if it is.
    pub fn cpu(&self) -> Option<usize> {
        self.inner.cpu
    }

    /// The end of its links to the others.
    pub(super) fn port(&self) -> Rc<Port> {
        Rc::clone(&self.inner.port.borrow())
    }

    /// The shard was restarted.
    pub(super) fn replace_port(&self, port: Rc<Port>) {
        // Dropped after the borrow of the cell has ended.
        let former = self.inner.port.replace(port);
        drop(former);
    }

    /// What all shards of this run share.
    pub(crate) fn run(&self) -> &Arc<Run> {
        &self.inner.run
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("index", &self.index())
            .field("count", &self.count())
            .field("cpu", &self.cpu())
            .finish_non_exhaustive()
    }
}

/// Until it is dropped, the calling thread is that of a shard.
pub(super) struct CurrentShard;

impl CurrentShard {
    pub(super) fn set(shard: Shard) -> Self {
        CURRENT.set(Some(shard));
        Self
    }
}

impl Drop for CurrentShard {
    fn drop(&mut self) {
        // Dropped after the borrow of the cell has ended.
        drop(CURRENT.take());
    }
}
