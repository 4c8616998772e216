//! Blocking code, run on other threads.
//!
//! [`to_thread`] runs a closure on a pool of threads that the whole process shares; a
//! [`ThreadPool`] is a pool with other limits. Both return a [`ThreadHandle`], which is a future of
//! the output.
//!
//! A pool's threads are in `sys::threads`, and `generation` gives each process its own; what a
//! closure shares with its handle is in `call`. Both use locks, under which no foreign code
//! (closures, wakers, outputs) is called, cloned or dropped.

mod call;
mod generation;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub use call::{ThreadError, ThreadHandle};

use call::Call;
use generation::{Generation, Job};

use crate::runtime::context;

/// How many threads [`to_thread`] uses at most.
const MAX_THREADS: usize = 64;
/// How long an idle thread waits for the next closure before it ends.
const IDLE: Duration = Duration::from_secs(10);

static POOL: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(MAX_THREADS, IDLE));

/// Runs a closure on another thread, where it may block.
///
/// The closure is queued by this call, whether or not the handle is awaited. The process has up to
/// 64 threads for such closures: they start when they are needed, and end when they have been idle
/// for ten seconds. Further closures wait for a thread, first in, first out. A [`ThreadPool`] has
/// other limits; closures that compute for long should have a pool with as many threads as there
/// are cores.
///
/// A forked child has none of its parent's threads: it starts its own. A closure that the parent
/// had queued or begun never ends in the child.
///
/// # Errors
///
/// Awaiting the handle returns [`ThreadError::Panicked`] if the closure panics, and
/// [`ThreadError::NotStarted`] if the pool has no thread and the system refuses to start one: then
/// the closure has not run.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// A closure cannot be cancelled: dropping the handle *detaches* it, even if it has not begun. Its
/// output is then dropped on its thread, and its panic goes to
/// [`Builder::on_incident`](crate::Builder::on_incident). The end of the runtime does not wait for
/// it.
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

/// A pool of threads for closures that block.
///
/// [`to_thread`] uses a pool that the whole process shares. When a pool is dropped, its threads end
/// as soon as they have run the closures that are queued.
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
    /// Creates a pool of at most `threads` threads.
    ///
    /// A thread starts when a closure is queued and no thread is idle. It ends when it has been
    /// idle for `idle`.
    ///
    /// The pool starts a thread when a closure is queued and no thread is idle.
    ///
    /// # Panics
    ///
    /// If `threads` is zero.
    #[track_caller]
    pub fn new(threads: usize, idle: Duration) -> Self {
        assert!(threads > 0, "a thread pool without threads would run no closure");
        Self { generation: Generation::new(threads, idle) }
    }

    /// Runs a closure on one of the pool's threads, like [`to_thread`].
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
        let outside = context::driver().timers().external_work();
        let job = move || {
            its.run(closure);
            drop(outside);
        };
        let job: Job = Box::new(job);
        if let Err((job, error)) = self.generation.current().submit(job) {
            drop(job);
            call.refuse(error);
        }
        ThreadHandle::new(call)
    }

    /// How many threads the pool has now.
    pub fn threads(&self) -> usize {
        self.generation.current().threads()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.generation.current().close();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("threads", &self.threads())
            .field("max_threads", &self.generation.max_threads())
            .finish()
    }
}
