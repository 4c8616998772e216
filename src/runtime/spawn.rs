//! Starting tasks on the current runtime.

use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::context::{self, Shared};
use crate::task::{JoinHandle, Origin, current_id, is_in_task, is_large, spawn_child};

/// Starts a task on this thread's runtime.
///
/// The caller continues; the task is first polled after the tasks that are ready already. The
/// future need not be `Send`: it never leaves this thread. The task runs even if its handle is
/// dropped.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let first = annulus::spawn(async { 1 });
///     let second = annulus::spawn(async { 2 });
///     assert_eq!(first.await.unwrap() + second.await.unwrap(), 3);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.create_task")]
#[doc(alias = "spawn_local")]
#[doc(alias = "create_task")]
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    if const { is_large::<F>() } {
        spawn_here(None, Box::pin(future))
    } else {
        spawn_here(None, future)
    }
}

/// [`spawn`] with a name for the task, which its incidents and [`JoinHandle::name`] report.
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn spawn_named<F>(name: impl Into<Arc<str>>, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    if const { is_large::<F>() } {
        spawn_here(Some(name.into()), Box::pin(future))
    } else {
        spawn_here(Some(name.into()), future)
    }
}

/// A task starts another on its own scheduler, without looking for the runtime.
#[track_caller]
#[inline]
fn spawn_here<F>(name: Option<Arc<str>>, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    if is_in_task() {
        spawn_child(future, name, Location::caller())
    } else {
        spawn_on(&context::current(), name, future)
    }
}

#[track_caller]
pub(super) fn spawn_on<F>(
    shared: &Rc<Shared>,
    name: Option<Arc<str>>,
    future: F,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    let origin = Origin { name, parent: current_id(), spawned_at: Location::caller() };
    shared.executor.spawn(future, origin)
}
