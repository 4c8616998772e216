//! Making tasks, by a runtime or by the current task.

use std::future::Future;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

use super::current::current_header;
use super::handle::JoinHandle;
use super::origin::Origin;
use super::scheduler::Scheduler;
use super::task_ref::TaskRef;

/// Whether a future is to be boxed where it is first taken by value. Each function that passes it
/// on by value may keep a copy on the stack, above all in a build without optimizations; a few such
/// copies of a large future would overflow it.
pub(crate) const fn is_large<F>() -> bool {
    size_of::<F>() > 16 * 1024
}

/// Makes a task and queues it. Once the scheduler's tasks are being ended, it is ended at once.
///
/// # Safety
///
/// The scheduler came from an `Arc` that is alive, and this is its owner's thread.
#[inline]
pub(super) unsafe fn spawn<F>(
    scheduler: NonNull<Scheduler>,
    future: F,
    origin: Origin,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    // SAFETY: by this function's contract. The future is `'static`: no borrow of its ends.
    let (task, ending) =
        unsafe { (TaskRef::new(future, scheduler, origin), scheduler.as_ref().ending.get()) };
    if ending {
        task.dispose();
    }
    // SAFETY: the type is that of the future's output, and this is the only handle.
    unsafe { JoinHandle::new(task) }
}

/// Makes a task on the scheduler of the current task, as its child.
///
/// # Panics
///
/// Outside of a task.
#[inline]
pub(crate) fn spawn_child<F: Future + 'static>(
    future: F,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
) -> JoinHandle<F::Output> {
    let parent = current_header().expect("called inside of a task");
    // SAFETY: the current task's poller has a local reference to it (`current_header`).
    let (scheduler, id) = unsafe { (parent.as_ref().scheduler, parent.as_ref().id) };
    // SAFETY: the current task keeps its scheduler, and this is the owner's thread.
    unsafe { spawn(scheduler, future, Origin { name, parent: Some(id), spawned_at }) }
}
