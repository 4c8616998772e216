//! The runtime: a ring, an executor and the tasks of one thread.
//!
//! - [`Builder`] configures a [`Runtime`], and `setup` makes it, on the ring that `select_ring`
//!   makes; [`run`] and [`block_on`](fn@block_on) do both.
//! - [`context`] is how code finds the runtime that it runs in.
//! - `event_loop` is the loop; `enter` marks that this thread is in it, and `block_on` runs a
//!   future in it.
//! - [`Guest`] is a runtime whose turns another event loop makes; [`bell`] is what wakes either.
//! - [`spawn`](mod@spawn) starts tasks.
//! - [`signals`] waits for signals; [`ctrl_c`] cancels the main task at ctrl-c, and
//!   [`Interrupted`] says so.
//! - [`Handle`] reaches the runtime from other threads, by the queues of [`remote`].
//! - `registered_buffers` makes sets of buffers that the ring has registered.
//! - `thread_bound` binds values to the current runtime.
//! - `teardown` is the end of a runtime, which waits for what `shield` and `driver::unsent` count.
//!
//! # One turn of the event loop
//!
//! Poll ready tasks, at most [`Builder::max_polls_per_turn`] times; then enter the kernel once,
//! which submits the SQEs they queued, waits if no task is ready, and collects completions; fire
//! timers; queue the tasks that other threads have woken. With nothing to submit and nothing to
//! collect there is no system call.

mod attach;
mod bell;
mod block_on;
mod builder;
pub(crate) mod context;
mod ctrl_c;
mod enter;
mod event_loop;
mod guest;
mod handle;
mod interrupted;
mod napi;
mod registered_buffers;
pub(crate) mod remote;
mod select_ring;
mod setup;
mod shield;
pub(crate) mod signals;
mod spawn;
mod teardown;
mod thread_bound;
mod yield_now;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io::{Write, stderr};
use std::mem;
use std::process::exit;
use std::rc::Rc;
use std::sync::Arc;

pub use builder::Builder;
pub use context::{is_running, metrics};
pub use guest::{Guest, Turn};
pub use handle::Handle;
pub use interrupted::Interrupted;
pub use napi::NapiOptions;
pub use remote::{RemoteJoinHandle, SpawnError};
pub use spawn::{spawn, spawn_named};
pub use yield_now::yield_now;

use crate::driver::Metrics;
pub(crate) use crate::driver::{UnsentGuard, UnsentWrites};
use crate::error::{Incident, SetupError};
use crate::task::{JoinHandle, is_large};
use context::Shared;
use remote::{Attachment, RemoteQueue};

/// Runs a future, and the tasks that it spawns, on a new runtime of this thread.
///
/// Tasks and operations that are left when the future completes are cancelled; see [`Runtime`].
///
/// # Errors
///
/// If no runtime can be made; see [`SetupError`]. [`block_on`](fn@block_on) exits with its message
/// instead.
///
/// # Panics
///
/// If the future panics, if this thread is running a runtime already, or if [`Handle::stop`] stops
/// the runtime before the future completes.
///
/// # Example
///
/// ```
/// let answer = annulus::run(async { 6 * 7 })?;
/// assert_eq!(answer, 42);
/// # Ok::<(), annulus::SetupError>(())
/// ```
///
/// A `main` whose future can fail too:
///
/// ```
/// async fn serve() -> std::io::Result<()> {
///     Ok(())
/// }
///
/// fn main() -> std::io::Result<()> {
///     // The error of `run` converts to the future's.
///     annulus::run(serve())?
/// }
/// ```
#[doc(alias = "asyncio.run")]
#[track_caller]
pub fn run<F: IntoFuture>(future: F) -> Result<F::Output, SetupError> {
    Ok(Runtime::new()?.block_on(future))
}

/// Runs a future as [`run`] does, and returns its output itself.
///
/// If no runtime can be made, prints why and what to do to standard error, and exits the process
/// with code 1, as [`main`](macro@crate::main) does.
///
/// # Panics
///
/// As for [`run`].
///
/// # Example
///
/// ```
/// async fn serve() -> std::io::Result<()> {
///     Ok(())
/// }
///
/// fn main() -> std::io::Result<()> {
///     annulus::block_on(serve())
/// }
/// ```
#[doc(alias = "current_thread")]
#[track_caller]
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    Runtime::new().unwrap_or_else(|error| exit_with(&error)).block_on(future)
}

/// Exits because no runtime can be made.
pub(crate) fn exit_with(error: &impl fmt::Display) -> ! {
    // Unlike `eprintln!`, this does not panic when the write fails.
    let _ = writeln!(stderr(), "annulus: {error}");
    exit(1)
}

/// A ring, an executor and their tasks, on the thread that made it.
///
/// Dropping it first completes [shielded](crate::join::shield) work, within
/// [`Builder::shield_timeout`], and sends what was written to
/// [`StreamWriter`](crate::io::StreamWriter)s, within [`Builder::flush_timeout`]. Then it cancels
/// every task (their futures are dropped, and joining them returns
/// [`Cancelled`](crate::task::JoinError::Cancelled)) and every operation, and waits until the
/// kernel has released all memory, within [`Builder::teardown_timeout`].
///
/// A runtime in a thread-local variable ends with its thread. If a task calls
/// [`std::process::exit`], the runtime that polls it is not torn down: no destructor of a task
/// runs.
#[doc(alias = "LocalSet")]
#[doc(alias = "current_thread")]
#[doc(alias = "asyncio.Runner")]
#[doc(alias = "get_running_loop")]
pub struct Runtime {
    shared: Rc<Shared>,
}

impl Builder {
    /// Creates the runtime, which belongs to the calling thread.
    ///
    /// # Errors
    ///
    /// If the [ring](Builder::ring) cannot be made, or the kernel does not support a setting; see
    /// [`SetupError`].
    pub fn build(self) -> Result<Runtime, SetupError> {
        setup::set_up(self).map(|shared| Runtime { shared })
    }
}

impl Runtime {
    /// Creates a runtime with the default configuration.
    ///
    /// # Errors
    ///
    /// If no ring can be made, for want of descriptors or memory; see [`SetupError`].
    pub fn new() -> Result<Self, SetupError> {
        Builder::new().build()
    }

    /// Returns a [`Builder`] with the default configuration.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a future to completion, and meanwhile the runtime's tasks.
    ///
    /// Tasks that have not ended then continue in the next call.
    ///
    /// # Panics
    ///
    /// If the future panics, if this thread is inside a `block_on` already, or if [`Handle::stop`]
    /// stops the runtime before the future completes.
    ///
    /// # Example
    ///
    /// ```
    /// let runtime = annulus::Runtime::new()?;
    /// let word = String::from("borrowed");
    /// assert_eq!(runtime.block_on(async { word.len() }), 8);
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.Runner.run")]
    #[track_caller]
    pub fn block_on<F: IntoFuture>(&self, future: F) -> F::Output {
        if const { is_large::<F::IntoFuture>() } {
            block_on::block_on(&self.shared, Box::pin(future.into_future()))
        } else {
            block_on::block_on(&self.shared, future.into_future())
        }
    }

    /// [`block_on`](Self::block_on) that returns an error if the future was cancelled.
    ///
    /// Ctrl-c cancels it with [`Builder::cancel_on_ctrl_c`], and so does [`Handle::stop`]. Other
    /// tasks are not cancelled.
    ///
    /// # Errors
    ///
    /// [`Interrupted`].
    ///
    /// # Panics
    ///
    /// If the future panics, or if this thread is inside a `block_on` already.
    ///
    /// # Example
    ///
    /// ```
    /// let runtime = annulus::Runtime::builder().cancel_on_ctrl_c(true).build()?;
    /// let answer = runtime.try_block_on(async { 6 * 7 });
    /// drop(runtime);
    /// match answer {
    ///     Ok(answer) => assert_eq!(answer, 42),
    ///     Err(interrupted) => interrupted.exit(),
    /// }
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[track_caller]
    pub fn try_block_on<F: IntoFuture>(&self, future: F) -> Result<F::Output, Interrupted> {
        if const { is_large::<F::IntoFuture>() } {
            block_on::try_block_on(&self.shared, Box::pin(future.into_future()))
        } else {
            block_on::try_block_on(&self.shared, future.into_future())
        }
    }

    /// Spawns a task, which runs in this and the following calls of [`block_on`](Self::block_on).
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        if const { is_large::<F>() } {
            spawn::spawn_on(&self.shared, None, Box::pin(future))
        } else {
            spawn::spawn_on(&self.shared, None, future)
        }
    }

    /// [`spawn`](Self::spawn) with a name for the task.
    #[track_caller]
    pub fn spawn_named<F>(&self, name: impl Into<Arc<str>>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        if const { is_large::<F>() } {
            spawn::spawn_on(&self.shared, Some(name.into()), Box::pin(future))
        } else {
            spawn::spawn_on(&self.shared, Some(name.into()), future)
        }
    }

    /// Returns a handle by which other threads start tasks on the runtime, and stop it.
    pub fn handle(&self) -> Handle {
        Handle::of(&self.shared)
    }

    /// Passes an incident to the runtime's hook.
    pub(crate) fn report(&self, incident: &Incident) {
        (self.shared.driver.incidents())(incident);
    }

    /// Has the event loop serve a queue that other threads fill, until the runtime ends.
    pub(crate) fn attach<Q: RemoteQueue + 'static>(
        &self,
        make: impl FnOnce(Attachment) -> Q,
    ) -> Rc<Q> {
        self.shared.attach(make)
    }

    /// Returns what the runtime's driver has done so far.
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.shared.is_inside() {
            // A call that borrows this runtime is further down on this stack, so the process is
            // exiting: `exit` runs the destructors of thread-locals. Those frames never continue,
            // but what they use, such as a future that is being polled, must stay as it is. So all
            // of the runtime is leaked.
            mem::forget(Rc::clone(&self.shared));
            return;
        }
        self.shared.close();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}
