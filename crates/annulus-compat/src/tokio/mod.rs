//! A Tokio runtime beside: on a thread of its own, for libraries that need one.
//!
//! [`beside`] starts it, once for the process, and enters it on the calling thread: from then on
//! Tokio's functions find it there, as inside of `#[tokio::main]`. What they start is driven by
//! Tokio's thread. Its results wake the annulus task that awaits them, as any waker works from any
//! thread.
//!
//! ```
//! use std::time::Duration;
//!
//! let _tokio = annulus_compat::tokio::beside();
//! annulus::run(async {
//!     // Tokio's own timer, in an annulus task.
//!     tokio::time::sleep(Duration::from_millis(1)).await;
//!     let answer = tokio::spawn(async { 6 * 7 }).await.unwrap();
//!     assert_eq!(answer, 42);
//! })?;
//! # Ok::<(), annulus::SetupError>(())
//! ```
//!
//! # Threads and shards
//!
//! All threads share the one runtime. Each thread that uses it has a guard of its own:
//!
//! ```
//! use annulus::Shards;
//! use annulus_compat::tokio::beside;
//!
//! // Before the shards, so that it is dropped after them and stops Tokio then.
//! let _tokio = beside();
//! Shards::builder().count(2).run(async |_shard| {
//!     let _tokio = beside();
//!     tokio::time::sleep(std::time::Duration::from_millis(1)).await;
//! })?;
//! # Ok::<(), annulus::shards::ShardsError>(())
//! ```
//!
//! # The end
//!
//! When the last guard of the process is dropped, Tokio stops: its tasks are cancelled, and the
//! drop waits until they are gone and blocking closures have returned, at most
//! [`Builder::stop_timeout`] (5 seconds). A panic that unwinds `main` does the same. A later
//! [`beside`] starts a new runtime.
//!
//! A guard that is dropped *inside* of an annulus runtime, as a local variable of
//! `#[annulus::main]` or of a shard's closure is, belongs to the thread from then on: the runtime
//! still has to drop its other tasks, whose destructors may need Tokio. The thread releases it when
//! it ends. `std::process::exit` stops nothing.
//!
//! # Inside of Tokio
//!
//! A program that starts annulus inside of `#[tokio::main]` may call [`beside`] too. The runtime
//! beside is then the current one until the guard is dropped. Tokio requires that runtimes are left
//! in the reverse order of entering them, and panics otherwise: that concerns its own guards
//! (`Handle::enter`) around and between these. The guards of this module may be dropped in any
//! order.
//!
//! # After a fork
//!
//! A forked child has no thread of Tokio's. [`beside`] starts a runtime for it; guards and handles
//! of the parent do nothing there.

mod builder;
mod entry;
mod process;
mod runtime;

use std::future::Future;
use std::io;

use ::tokio::runtime::Handle;
use ::tokio::task::JoinHandle;

pub use builder::Builder;
pub use entry::Beside;

/// Enters the Tokio runtime beside on this thread, and starts it if it is not running.
///
/// Keep the guard for as long as Tokio is needed: `let _tokio = beside();`, in `main` before the
/// annulus runtime, or at the beginning of what runs in it. See the [module](self) for what becomes
/// of it at the end.
///
/// # Panics
///
/// If Tokio cannot be started; see [`try_beside`].
///
/// # Example
///
/// ```
/// #[annulus::main]
/// async fn main() {
///     let _tokio = annulus_compat::tokio::beside();
///     tokio::task::spawn_blocking(|| ()).await.unwrap();
/// }
/// ```
#[doc(alias = "enter")]
#[track_caller]
pub fn beside() -> Beside {
    try_beside().unwrap_or_else(|error| panic!("{error}"))
}

/// [`beside`] that returns an error instead of a panic.
///
/// # Errors
///
/// If Tokio cannot be started: there are no descriptors for its epoll instance, or no thread.
pub fn try_beside() -> io::Result<Beside> {
    Beside::enter(&Builder::new())
}

/// Returns the handle of the Tokio runtime beside, and starts it if it is not running.
///
/// This enters nothing and keeps nothing: a runtime that a guard has started ends with the last
/// guard, and one that this call has started runs until the process exits.
///
/// # Errors
///
/// If Tokio cannot be started; see [`try_beside`].
///
/// # Example
///
/// ```
/// let handle = annulus_compat::tokio::handle()?;
/// let _guard = handle.enter();
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn handle() -> io::Result<Handle> {
    process::handle()
}

/// The handle for a future that is polled on this thread, which may outlive the guards of others:
/// without a guard on this thread, the runtime runs until the process exits.
pub(crate) fn handle_for_poll() -> io::Result<Handle> {
    entry::handle_of_thread().map_or_else(process::lasting_handle, Ok)
}

/// Spawns a task on the Tokio runtime beside, and starts that as [`handle`] does.
///
/// The handle can be awaited in any task, of annulus too. Dropping it detaches the task. On a
/// thread with a guard, `tokio::spawn` does the same.
///
/// # Panics
///
/// If Tokio cannot be started; see [`try_beside`].
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let answer = annulus_compat::tokio::spawn(async { 6 * 7 });
///     assert_eq!(answer.await.unwrap(), 42);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    handle().unwrap_or_else(|error| panic!("{error}")).spawn(future)
}
