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
use super::task_ref::Task;
use super::{JoinHandle, Origin, TaskId};
use super::{executor, waker};

thread_local! {
    static TURN: Turn = const { Turn { task: Cell::new(None), budget: Budget::new() } };
}

/// What belongs to whoever has its turn. One thread-local, since finding one takes time.
struct Turn {
    // No reference is counted for it, and no destructor run: whoever sets it holds the task.
    task: Cell<Option<NonNull<Header>>>,
    budget: Budget,
}

/// Runs `body` with this task as the current one, and with a new budget. For the loop: no task is the
/// current one before and after.
#[inline]
pub(super) fn with_turn<T>(task: &Task, body: impl FnOnce() -> T) -> T {
    TURN.with(|turn| {
        turn.task.set(Some(task.pointer()));
        let _restore = Restore { turn, outer: None };
        turn.budget.refill();
        body()
    })
}

/// Runs `body` with this task as the current one, amid the turn of another, whose budget is afterwards
/// what it was.
pub(super) fn with_nested_turn<T>(task: &Task, body: impl FnOnce() -> T) -> T {
    TURN.with(|turn| {
        let left = turn.budget.left();
        let outer = turn.task.replace(Some(task.pointer()));
        let restore = Restore { turn, outer };
        turn.budget.refill();
        let value = body();
        drop(restore);
        turn.budget.restore(left);
        value
    })
}

struct Restore<'a> {
    turn: &'a Turn,
    outer: Option<NonNull<Header>>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        self.turn.task.set(self.outer);
    }
}

/// The budget of whoever has its turn.
#[inline]
pub(super) fn with_budget<T>(ask: impl FnOnce(&Budget) -> T) -> T {
    TURN.with(|turn| ask(&turn.budget))
}

/// Call this before waiting for a task.
///
/// # Panics
///
/// If the wait could not end: the task is the current one, or cannot run while this thread is in the
/// loop of its present runtime.
#[inline]
#[track_caller]
pub(super) fn check_wait(task: &Task) {
    let shard = task.header().shard;
    // A current task of the same shard is inside of the same loop.
    match TURN.with(|turn| turn.task.get()) {
        Some(current) if current == task.pointer() => panic!("a task cannot wait for its own end"),
        // SAFETY: as in `with_current`.
        Some(current) if unsafe { current.as_ref() }.shard == shard => {}
        _ => check_runtime(task.header().shard().runtime, "this task"),
    }
}

/// A hold of the current task, if that is what this waker wakes.
#[inline]
pub(super) fn hold_if_woken_by(waker: &Waker) -> Option<Task> {
    let task = TURN.with(|turn| turn.task.get()).filter(|&task| waker::is_of(waker, task))?;
    // SAFETY: `with_turn` borrows the `Task`, a hold, until the header stands here no more. It is the
    // owner's thread: a `Task` never leaves it.
    Some(unsafe { Task::hold(task) })
}

/// Asks something of the current task's header.
#[inline]
pub(super) fn with_current<T>(ask: impl FnOnce(&Header) -> T) -> Option<T> {
    // SAFETY: the header is valid: `with_turn` borrows the `Task`, a hold, until the header stands
    // here no more. It is the owner's thread: a `Task` never leaves it.
    TURN.with(|turn| turn.task.get()).map(|header| ask(unsafe { header.as_ref() }))
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

/// Makes a task on the running one's shard, as its child.
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
    let running = TURN.with(|turn| turn.task.get()).expect("a task has its turn");
    // SAFETY: as in `with_current`.
    let (shard, id) = unsafe { (running.as_ref().shard, running.as_ref().id) };
    // SAFETY: the running task keeps its shard, and this is the owner's thread.
    unsafe { executor::spawn(shard, future, Origin { name, parent: Some(id), spawned_at }) }
}

/// Whether a task has its turn on this thread.
#[inline]
pub(crate) fn is_in_task() -> bool {
    TURN.with(|turn| turn.task.get()).is_some()
}

/// The number of the running task.
#[inline]
pub(crate) fn current_id() -> Option<TaskId> {
    with_current(|header| header.id)
}
