//! Work that continues when the await of it is dropped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::runtime::context::shield_guard;
use crate::runtime::spawn;
use crate::task::{JoinError, JoinHandle};

/// Starts a future as a task that is not cancelled when the await is dropped.
///
/// The task starts with this call, and the shield waits for it. Dropping the shield detaches the
/// task: it continues, and if it panics, the panic goes to
/// [`Builder::on_incident`](crate::Builder::on_incident). The end of its runtime waits for it, for
/// at most [`Builder::shield_timeout`](crate::Builder::shield_timeout).
///
/// To shield a task that is already running, await its handle by `&mut`, or make a [`Shield::from`]
/// the handle.
///
/// # Errors
///
/// Awaiting it returns the task's [`JoinError`] if the task was cancelled or panicked.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Awaited by `&mut`, the shield can be awaited again.
///
/// # Example
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use annulus::join::shield;
/// use annulus::time::{sleep, timeout};
///
/// annulus::run(async {
///     # annulus::time::pause();
///     let saved = Rc::new(Cell::new(false));
///     let its = Rc::clone(&saved);
///     let save = shield(async move {
///         sleep(Duration::from_millis(5)).await;
///         its.set(true);
///     });
///     assert!(timeout(Duration::from_millis(1), save).await.is_err());
///     sleep(Duration::from_millis(20)).await;
///     assert!(saved.get());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.shield")]
#[track_caller]
pub fn shield<F: Future + 'static>(future: F) -> Shield<F::Output> {
    let guard = shield_guard();
    Shield::from(spawn(async move {
        let _guard = guard;
        future.await
    }))
}

/// Waits for a task that continues without it. Made by [`shield`].
#[must_use = "a shield returns the outcome of its task; `spawn` starts a task that is not awaited"]
pub struct Shield<T> {
    task: JoinHandle<T>,
}

impl<T> Shield<T> {
    /// Returns the task's handle, which can cancel it.
    pub fn into_handle(self) -> JoinHandle<T> {
        self.task
    }
}

impl<T> From<JoinHandle<T>> for Shield<T> {
    fn from(task: JoinHandle<T>) -> Self {
        Self { task }
    }
}

impl<T> Unpin for Shield<T> {}

impl<T> Future for Shield<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut &mut self.task).poll(context)
    }
}

impl<T> fmt::Debug for Shield<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").field("task", &self.task).finish()
    }
}
