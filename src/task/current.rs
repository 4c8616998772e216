//! The task that is being polled on this thread.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use super::TaskId;
use super::cell::Task;

thread_local! {
    static CURRENT: RefCell<Option<Task>> = const { RefCell::new(None) };
}

/// Until this is dropped, the task it was made for is the current one.
pub(super) struct Entered {
    outer: Option<Task>,
}

pub(super) fn enter(task: &Task) -> Entered {
    let outer = CURRENT.with(|current| current.borrow_mut().replace(task.clone()));
    Entered { outer }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let inner =
            CURRENT.with(|current| mem::replace(&mut *current.borrow_mut(), self.outer.take()));
        drop(inner);
    }
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
    CURRENT.with(|current| {
        let current = current.borrow();
        let header = current.as_ref()?.header();
        Some(CurrentTask { id: header.id, name: header.name.clone(), parent: header.parent })
    })
}

/// The number of the running task.
pub(crate) fn current_id() -> Option<TaskId> {
    CURRENT.with(|current| current.borrow().as_ref().map(Task::id))
}
