//! The task that is being polled on this thread.

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;

use super::budget::Budget;
use super::header::Header;
use super::running::check_runtime;
use super::task_ref::TaskRef;
use super::{JoinHandle, Origin, TaskId};
use super::{executor, waker};

thread_local! {
    static CURRENT: CurrentPoll = const { CurrentPoll { task: Cell::new(None), budget: Budget::new() } };
}

/// What belongs to whoever has its turn. One thread-local, since finding one takes time.
struct CurrentPoll {
    // No reference is counted for it, and no destructor run: whoever sets it holds the task.
    task: Cell<Option<NonNull<Header>>>,
    budget: Budget,
}

/// Runs `body` with this task as the current one, and with a new budget. For the loop: no task is the
/// current one before and after.
#[inline]
pub(super) fn with_poll<T>(task: &TaskRef, body: impl FnOnce() -> T) -> T {
    CURRENT.with(|poll| {
        poll.task.set(Some(task.pointer()));
        let _restore = Restore { poll, outer: None };
        poll.budget.refill();
        body()
    })
}

/// Runs `body` with this task as the current one, amid the turn of another, whose budget is afterwards
/// what it was.
pub(super) fn with_nested_poll<T>(task: &TaskRef, body: impl FnOnce() -> T) -> T {
    CURRENT.with(|poll| {
        let left = poll.budget.left();
        let outer = poll.task.replace(Some(task.pointer()));
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

/// The budget of whoever has its turn.
#[inline]
pub(super) fn with_budget<T>(ask: impl FnOnce(&Budget) -> T) -> T {
    CURRENT.with(|poll| ask(&poll.budget))
}

/// Call this before waiting for a task.
///
/// # Panics
///
/// If the wait could not end: the task is the current one, or cannot run while this thread is in the
/// loop of its present runtime.
#[inline]
#[track_caller]
pub(super) fn check_wait(task: &TaskRef) {
    let scheduler = task.header().scheduler;
    // A current task of the same scheduler is inside of the same loop.
    match CURRENT.with(|poll| poll.task.get()) {
        Some(current) if current == task.pointer() => panic!("a task cannot wait for its own end"),
        // SAFETY: as in `with_current`.
        Some(current) if unsafe { current.as_ref() }.scheduler == scheduler => {}
        _ => check_runtime(task.header().scheduler().runtime, "this task"),
    }
}

/// A hold of the current task, if that is what this waker wakes.
#[inline]
pub(super) fn current_if_woken_by(waker: &Waker) -> Option<TaskRef> {
    let task = CURRENT.with(|poll| poll.task.get()).filter(|&task| waker::is_of(waker, task))?;
    // SAFETY: `with_poll` borrows the `TaskRef`, a hold, until the header stands here no more. It is the
    // owner's thread: a `TaskRef` never leaves it.
    Some(unsafe { TaskRef::clone_raw(task) })
}

/// Asks something of the current task's header.
#[inline]
pub(super) fn with_current<T>(ask: impl FnOnce(&Header) -> T) -> Option<T> {
    // SAFETY: the header is valid: `with_poll` borrows the `TaskRef`, a hold, until the header stands
    // here no more. It is the owner's thread: a `TaskRef` never leaves it.
    CURRENT.with(|poll| poll.task.get()).map(|header| ask(unsafe { header.as_ref() }))
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
        name: header.name.as_deref().cloned(),
        parent: header.parent,
    })
}

/// Makes a task on the running one's scheduler, as its child.
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
    let running = CURRENT.with(|poll| poll.task.get()).expect("a task has its turn");
    // SAFETY: as in `with_current`.
    let (scheduler, id) = unsafe { (running.as_ref().scheduler, running.as_ref().id) };
    // SAFETY: the running task keeps its scheduler, and this is the owner's thread.
    unsafe { executor::spawn(scheduler, future, Origin { name, parent: Some(id), spawned_at }) }
}

/// Whether a task has its turn on this thread.
#[inline]
pub(crate) fn is_in_task() -> bool {
    CURRENT.with(|poll| poll.task.get()).is_some()
}

/// The number of the running task.
#[inline]
pub(crate) fn current_id() -> Option<TaskId> {
    with_current(|header| header.id)
}
