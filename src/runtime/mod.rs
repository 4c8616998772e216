//! The runtime: a ring, an executor and the tasks of one thread.
//!
//! - [`Builder`] and [`Runtime`] are made by whoever wants more than [`run`].
//! - [`context`] is how code on this thread finds its runtime.
//! - [`event_loop`] is the loop; [`enter`] marks that this thread is in it.
//! - [`spawn`](mod@spawn) starts tasks.
//! - [`ctrl_c`] ends the main task at ctrl-c; [`shield`] and [`unsent`] are what the end waits for.
//!
//! # One turn of the loop
//!
//! Run ready tasks, at most [`Builder::max_polls_per_turn`] of them; then enter the kernel once, which
//! submits what they pushed, waits if nothing is ready, and collects completions; fire timers; take
//! in what other threads have woken. With nothing to submit and nothing to collect there is no
//! system call.

mod block_on;
mod builder;
pub(crate) mod context;
pub(crate) mod ctrl_c;
mod enter;
mod event_loop;
mod napi;
pub(crate) mod shield;
mod spawn;
pub(crate) mod unsent;
mod yield_now;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

pub use builder::Builder;
pub use context::metrics;
pub use ctrl_c::Interrupted;
pub use napi::NapiOptions;
pub use spawn::{spawn, spawn_named};
pub use yield_now::yield_now;

use crate::driver::Metrics;
use crate::error::SetupError;
use crate::task::{JoinHandle, is_large};
use context::Shared;

/// Runs a future, and the tasks it spawns, on a new runtime of this thread. What is left when it
/// ends is cancelled and torn down.
///
/// # Errors
///
/// If the runtime cannot be made; see [`SetupError`].
///
/// # Panics
///
/// If the future panics, or if this thread is running a runtime already.
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
#[doc(alias = "block_on")]
#[track_caller]
pub fn run<F: IntoFuture>(future: F) -> Result<F::Output, SetupError> {
    Ok(Runtime::new()?.block_on(future))
}

/// A ring, an executor and their tasks, on the thread that made it.
///
/// Dropping it ends every task (their futures are dropped, joining them says
/// [`Cancelled`](crate::task::JoinError::Cancelled)), cancels every operation, and waits until the
/// kernel has let go of all memory; see [`Builder::teardown_timeout`]. Before that, it lets
/// [shielded](crate::join::shield) work come to its end, within [`Builder::shield_timeout`], and sends what
/// has been written to [`StreamWriter`](crate::io::StreamWriter)s, within [`Builder::flush_timeout`].
///
/// In a thread-local variable it ends with its thread. If a task inside of its loop calls
/// [`std::process::exit`], nothing of it is torn down: no destructor of a task runs, as `exit` says.
#[doc(alias = "LocalSet")]
pub struct Runtime {
    shared: Rc<Shared>,
}

impl Runtime {
    /// A runtime with the default configuration.
    ///
    /// # Errors
    ///
    /// If io_uring cannot be used here; see [`SetupError`].
    pub fn new() -> Result<Self, SetupError> {
        Builder::new().build()
    }

    /// A [`Builder`] to configure a runtime with.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a future to its end, and meanwhile the runtime's tasks. Tasks that have not ended then
    /// go on with the next call.
    ///
    /// # Panics
    ///
    /// If the future panics, or if this thread is inside a `block_on` already.
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

    /// [`block_on`](Self::block_on) that gives an error if ctrl-c has ended the future; see
    /// [`Builder::cancel_on_ctrl_c`]. Tasks that have not ended are there still.
    ///
    /// # Errors
    ///
    /// [`Interrupted`].
    ///
    /// # Panics
    ///
    /// As for [`block_on`](Self::block_on).
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

    /// What the runtime's ring has done so far.
    pub fn metrics(&self) -> Metrics {
        self.shared.driver.metrics()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.shared.is_inside() {
            // A call that borrows this runtime is further down on this stack, so the process is ending:
            // `exit` runs the destructors of thread-locals. The frames below never go on, but what they
            // use, a future that is being polled for one, stays as it is. So does all of the runtime.
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
