//! The task that is being polled on this thread.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::Waker;

use super::budget::Budget;
use super::header::Header;
use super::id::TaskId;
use super::running::check_runtime;
use super::values::Values;
use super::waker;

thread_local! {
    static CURRENT: CurrentPoll =
        const { CurrentPoll { task: Cell::new(None), budget: Budget::new() } };
}

/// The state of the poll that is under way. One thread-local, as each access takes time.
struct CurrentPoll {
    // Not counted as a reference, and without a destructor: the poller has a local reference.
    task: Cell<Option<NonNull<Header>>>,
    budget: Budget,
}

/// Runs `body` with this task as the current one, and with a new budget. For the event loop: no
/// task is current before and after.
///
/// # Safety
///
/// This is the owner's thread, which has a local reference to the task until this function returns.
#[inline]
pub(super) unsafe fn with_poll<T>(task: NonNull<Header>, body: impl FnOnce() -> T) -> T {
    CURRENT.with(|poll| {
        poll.task.set(Some(task));
        let _restore = Restore { poll, outer: None };
        poll.budget.refill();
        body()
    })
}

/// Runs `body` with this task as the current one, amid the poll of another, whose budget is
/// restored afterwards.
///
/// # Safety
///
/// As for [`with_poll`].
pub(super) unsafe fn with_nested_poll<T>(task: NonNull<Header>, body: impl FnOnce() -> T) -> T {
    CURRENT.with(|poll| {
        let left = poll.budget.left();
        let outer = poll.task.replace(Some(task));
        let restore = Restore { poll, outer };
        poll.budget.refill();
        let value = body();
        drop(restore);
        poll.budget.restore(left);
        value
    })
}

struct Restore<'a> {
    poll: &'a CurrentPoll,
    outer: Option<NonNull<Header>>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        self.poll.task.set(self.outer);
    }
}

/// Gives access to the budget of the poll that is under way.
#[inline]
pub(super) fn with_budget<T>(body: impl FnOnce(&Budget) -> T) -> T {
    CURRENT.with(|poll| body(&poll.budget))
}

/// The current task, with a local reference to it for as long as it is current.
#[inline]
pub(super) fn current_header() -> Option<NonNull<Header>> {
    CURRENT.with(|poll| poll.task.get())
}

/// Calls `body` with the current task's header.
#[inline]
pub(super) fn with_current<T>(body: impl FnOnce(&Header) -> T) -> Option<T> {
    // SAFETY: while a task is current, its poller has a local reference (`with_poll`), and this is
    // the owner's thread.
    current_header().map(|header| body(unsafe { header.as_ref() }))
}

/// The current task, if that is what this waker wakes.
#[inline]
pub(super) fn woken_by(waker: &Waker) -> Option<NonNull<Header>> {
    current_header().filter(|&task| waker::is_of(waker, task))
}

/// Call this before waiting for a task.
///
/// # Panics
///
/// If the wait could not end: the task is the current one, or belongs to a runtime whose event loop
/// cannot run while this thread is inside of another one's.
#[inline]
#[track_caller]
pub(super) fn check_wait(task: &Header) {
    match current_header() {
        Some(current) if ptr::eq(current.as_ptr(), task) => {
            panic!("a task cannot wait for its own end")
        }
        // A current task of the same scheduler is inside of the same event loop.
        // SAFETY: as in `with_current`.
        Some(current) if unsafe { current.as_ref() }.scheduler == task.scheduler => {}
        _ => check_runtime(task.scheduler().runtime, "this task"),
    }
}

/// The values of the current task, for a task that it spawns.
pub(super) fn inherited_values() -> Option<Values> {
    with_current(|header| {
        let values = header.values.take();
        header.values.set(values.clone());
        values
    })
    .flatten()
}

/// Whether a task is being polled on this thread.
#[inline]
pub(crate) fn is_in_task() -> bool {
    current_header().is_some()
}

/// The id of the current task.
#[inline]
pub(crate) fn current_id() -> Option<TaskId> {
    with_current(|header| header.id)
}

/// What a task can know of itself. Returned by [`current_task`].
#[derive(Clone, Debug)]
pub struct CurrentTask {
    id: TaskId,
    name: Option<Arc<str>>,
    parent: Option<TaskId>,
}

impl CurrentTask {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The task that spawned this one.
    ///
    /// `None` for the future given to `run` or `block_on`, and for tasks spawned outside of a task.
    pub fn parent(&self) -> Option<TaskId> {
        self.parent
    }
}

/// Returns the task that is being polled on this thread; `None` outside of a task.
///
/// # Example
///
/// ```
/// use annulus::spawn_named;
/// use annulus::task::current_task;
///
/// annulus::run(async {
///     let child = spawn_named("child", async {
///         assert_eq!(current_task().unwrap().name(), Some("child"));
///     });
///     child.await.unwrap();
/// })?;
/// assert!(current_task().is_none());
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.current_task")]
pub fn current_task() -> Option<CurrentTask> {
    with_current(|header| CurrentTask {
        id: header.id,
        name: header.name.as_deref().cloned(),
        parent: header.parent,
    })
}
