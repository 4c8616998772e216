//! The task that is being polled on this thread.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use super::TaskId;
use super::cell::Task;
use super::header::Header;

thread_local! {
    // No reference is counted for it, and no destructor run: whoever sets it holds the task.
    static CURRENT: Cell<Option<NonNull<Header>>> = const { Cell::new(None) };
}

/// Until this is dropped, the task it was made for is the current one.
pub(super) struct Entered<'a> {
    outer: Option<NonNull<Header>>,
    _task: PhantomData<&'a Task>,
}

/// The guard must be dropped, and not forgotten, while the task is held.
pub(super) fn enter(task: &Task) -> Entered<'_> {
    let outer = CURRENT.replace(Some(NonNull::from(task.header())));
    Entered { outer, _task: PhantomData }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

/// Asks something of the current task's header.
pub(super) fn with_current<T>(ask: impl FnOnce(&Header) -> T) -> Option<T> {
    // SAFETY: the header is valid: `Task::run`, which alone enters, holds the task until the guard
    // is dropped. It is the owner's thread: a `Task` never leaves it.
    CURRENT.get().map(|header| ask(unsafe { header.as_ref() }))
}

/// What a task can know of itself; made by [`current_task`].
#[derive(Clone, Debug)]
pub struct CurrentTask {
    id: TaskId,
    name: Option<Arc<str>>,
    parent: Option<TaskId>,
}

impl CurrentTask {
    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The task that spawned this one; `None` for the one that a runtime was started with.
    pub fn parent(&self) -> Option<TaskId> {
        self.parent
    }
}

/// The task that is running on this thread, or `None` outside of a task.
///
/// # Example
///
/// ```
/// use annulus::spawn_named;
/// use annulus::task::current_task;
///
/// annulus::run(async {
///     let child = spawn_named("child", async { current_task().unwrap().name().map(String::from) });
///     assert_eq!(child.await.unwrap().as_deref(), Some("child"));
/// })?;
/// assert!(current_task().is_none());
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.current_task")]
pub fn current_task() -> Option<CurrentTask> {
    with_current(|header| CurrentTask {
        id: header.id,
        name: header.name.clone(),
        parent: header.parent,
    })
}

/// The number of the running task.
pub(crate) fn current_id() -> Option<TaskId> {
    with_current(|header| header.id)
}
