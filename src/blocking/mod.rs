//! Closures that block, on threads of their own.
//!
//! A [`ThreadPool`] hands closures to its `pool` of threads; a `call` is what a closure shares with
//! its handle. Both stand behind locks, under which nothing of others is called, cloned or dropped.

mod call;
mod pool;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub use call::{ThreadError, ThreadHandle};

use call::Call;
use pool::Generation;

use crate::runtime::context;

/// How many threads [`to_thread`] uses at most.
const MOST_THREADS: usize = 64;
/// How long one of them waits for the next closure.
const IDLE: Duration = Duration::from_secs(10);

static POOL: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(MOST_THREADS, IDLE));

/// Runs a closure on a thread, so that it may block while the loop goes on.
///
/// The process has up to 64 threads for such closures, started when they are needed, and ended when
/// they have been idle for ten seconds; closures beyond that wait for a thread, first in first out. A
/// [`ThreadPool`] has other limits. A closure that computes for long is better off in a pool with as
/// many threads as there are cores.
///
/// The closure is on its way when this returns, whether or not the handle is awaited.
///
/// # Errors
///
/// Awaiting the handle gives [`ThreadError::Panicked`] if the closure panics, and
/// [`ThreadError::NotStarted`] if the system lets start no thread and there is none: then the closure
/// has not run.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # After a fork
///
/// A forked child has none of its parent's threads: it starts its own. A closure that the parent has
/// begun, or queued, never ends in the child.
///
/// # Cancel safety
///
/// A closure cannot be cancelled: dropping the handle *detaches* it, also one that has not begun. Its
/// output is dropped where it ends, and its panic goes to
/// [`Builder::on_incident`](crate::Builder::on_incident). The end of the runtime does not wait for it.
///
/// # Example
///
/// ```
/// use annulus::blocking::to_thread;
///
/// annulus::run(async {
///     let read = to_thread(|| std::fs::read_to_string("Cargo.toml"));
///     assert!(read.await.unwrap().unwrap().contains("annulus"));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.to_thread")]
#[doc(alias = "asyncio.loop.run_in_executor")]
#[doc(alias = "spawn_blocking")]
#[track_caller]
pub fn to_thread<T: Send + 'static>(
    closure: impl FnOnce() -> T + Send + 'static,
) -> ThreadHandle<T> {
    POOL.spawn(closure)
}

/// Threads for closures that block. [`to_thread`] uses one that the whole process shares.
///
/// Dropped, the pool ends its threads when they have run what was given to them.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::blocking::ThreadPool;
/// use annulus::join::gather;
///
/// annulus::run(async {
///     let pool = ThreadPool::new(2, Duration::from_secs(1));
///     let squares = gather((0..10).map(|n| pool.spawn(move || n * n))).await;
///     assert_eq!(squares.into_iter().map(Result::unwrap).sum::<u32>(), 285);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "concurrent.futures.ThreadPoolExecutor")]
pub struct ThreadPool {
    generation: Generation,
}

impl ThreadPool {
    /// A pool of at most `threads` threads, which end when they have been idle for so long.
    ///
    /// # Panics
    ///
    /// If it may have no thread.
    #[track_caller]
    pub fn new(threads: usize, idle: Duration) -> Self {
        assert!(threads > 0, "a pool without threads would run nothing");
        Self { generation: Generation::new(threads, idle) }
    }

    /// Runs a closure on one of the pool's threads; see [`to_thread`].
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        &self,
        closure: impl FnOnce() -> T + Send + 'static,
    ) -> ThreadHandle<T> {
        let call = Arc::new(Call::new(context::incidents()));
        let its = Arc::clone(&call);
        let outside = context::driver().outside();
        let job = move || {
            its.run(closure);
            drop(outside);
        };
        if let Err(error) = self.generation.present().submit(Box::new(job)) {
            call.refuse(error);
        }
        ThreadHandle::new(call)
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.generation.present().threads()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.generation.present().close();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("threads", &self.threads())
            .field("most", &self.generation.most())
            .finish()
    }
}
