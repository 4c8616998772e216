//! Making tasks: with a future of its own, or with one that borrows from the caller.

use std::future::Future;
use std::sync::Arc;

use super::cell::Task;
use super::handle::JoinHandle;
use super::shard::{Origin, Shard};

/// Makes a task of a future that borrows nothing, and its handle.
pub(crate) fn new<F>(future: F, shard: &Arc<Shard>, origin: Origin) -> (Task, JoinHandle<F::Output>)
where
    F: Future + 'static,
{
    // SAFETY: the future borrows nothing that could end.
    let task = unsafe { Task::new(future, shard, origin) };
    // SAFETY: the type is that of the future's output, and this is the only handle.
    let handle = unsafe { JoinHandle::new(task.clone()) };
    (task, handle)
}

/// Runs `body` with a task whose future may borrow, and gives what the task ended with, or `None`
/// if `body` returned before that. The future is gone when this returns or unwinds.
pub(crate) fn scoped<F: Future>(
    future: F,
    shard: &Arc<Shard>,
    origin: Origin,
    body: impl FnOnce(&Task),
) -> Option<Result<F::Output, super::JoinError>> {
    // SAFETY: the guard below ends the task, and the handle empties its cell, before this function
    // returns or unwinds; what others keep of it, its header, borrows nothing.
    let task = unsafe { Task::new(future, shard, origin) };
    // SAFETY: the type is that of the future's output, and this is the only handle.
    let mut handle = unsafe { JoinHandle::<F::Output>::new(task.clone()) };
    let guard = EndOnDrop(&task);
    body(&task);
    drop(guard);
    handle.take_outcome()
}

struct EndOnDrop<'a>(&'a Task);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
