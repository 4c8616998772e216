//! Tasks: what [`spawn`](crate::spawn) starts, and how it is joined, cancelled and named.
//!
//! A task is a future that the runtime polls beside all others of its thread. [`JoinHandle`] waits for
//! its outcome, which is the future's output or a [`JoinError`]: the task panicked, or was cancelled.
//!
//! ```
//! use std::time::Duration;
//! use annulus::time::sleep;
//!
//! annulus::run(async {
//!     let answer = annulus::spawn(async { 6 * 7 });
//!     let endless = annulus::spawn(sleep(Duration::MAX));
//!     assert_eq!(answer.await.unwrap(), 42);
//!
//!     // Cancelling drops the future: destructors run, and nothing that had arrived is lost.
//!     endless.cancel();
//!     assert!(endless.await.unwrap_err().is_cancelled());
//! })?;
//! # Ok::<(), annulus::SetupError>(())
//! ```
//!
//! | to                                            | use                                          |
//! |-----------------------------------------------|----------------------------------------------|
//! | start a task                                  | [`spawn`](crate::spawn), [`spawn_named`](crate::spawn_named) |
//! | let it run on by itself                       | drop its handle                              |
//! | wait for it, and cancel it if the wait is     | `handle.await`                               |
//! | wait for it, whatever becomes of the wait     | `(&mut handle).await`                        |
//! | cancel it                                     | [`JoinHandle::cancel`]; [`cancel_gracefully`](crate::join::cancel_gracefully) asks first |
//! | wait for several                              | [`join`](crate::join)                        |
//! | know the task that is running                 | [`current_task`]                             |
//! | hand values down to the tasks that it spawns  | [`ContextVar`]                               |
//!
//! A detached task whose output is a `Result` has no caller to give an error to: log it in the task.

// One allocation for each task, woken from any thread, run by the one that owns it.
//
// - `cell` is that allocation: a `header` that any thread may hold, and the future, which only
//   the owner touches. A task that is `held` can be run, cancelled and asked for its outcome.
// - `scheduler` is what a thread's tasks share: the `ready` queue, the `list` of all that have not
//   ended, and the `inbox` where other threads put the ones they wake.
// - `tasks` is the owner's end of a scheduler: it makes tasks, also of futures that borrow, gives them
//   their turns, and ends them. `handle` is how an outcome is waited for.
// - `disposal` ends tasks and drops outcomes from within destructors; `running` knows which runtime's
//   loop the thread is inside of.
// - `waker` makes a `std::task::Waker` of a header; a `local_waker` keeps one without counting;
//   `wake` is how others are left and woken.
// - `shrink` is for the collections of other rooms: it gives back what a peak has left behind.
// - `current` and `budget` belong to the task that is being polled; `context` holds values that go on
//   to the tasks that it spawns.
//
// This room knows no kernel and no runtime: what it needs of them (something that ends a sleep) is
// passed in.
//
// Why this is sound:
//
// *Who touches the future.* The future and its output live in the cell behind an `UnsafeCell` that
// only `TaskRef`, `JoinHandle` and `Executor` reach. All are `!Send`, are made on the owner's
// thread, and never leave it. Wakers hold the header alone.
//
// *Who may be in it twice.* A poll or a destructor of the future can call anything, also what reaches
// the same cell: a handle's drop, `cancel`, `wake`, the end of the runtime (the process's `exit` runs
// the destructors of thread-locals), a loop inside the loop. Each looks at the task's *phase* before
// it touches the future: waiting, running or ended, in the header, set where the future is polled or
// dropped and nowhere else. A running task is neither polled nor dropped by any of them; if its poll
// never returns, it is leaked. See `header` and `cell`.
//
// *When memory is freed.* `references` counts the wakers, the places in the inbox, and one for all
// that the owner's thread holds together, which are counted apart and not atomically. The last
// one, on whatever thread, frees the memory; by then the owner has dropped future and output, so
// nothing of theirs is dropped there. See `header`.

pub(crate) mod budget;
mod cell;
mod context_var;
mod current;
mod disposal;
mod executor;
mod handle;
mod header;
mod id;
mod inbox;
mod join_error;
mod list;
mod local_waker;
mod loom;
#[cfg(all(test, annulus_loom))]
mod loom_tests;
mod pool;
mod ready;
mod running;
mod scheduler;
mod shrink;
mod task_ref;
#[cfg(all(test, not(annulus_loom)))]
mod tests;
mod thread_id;
mod wake;
mod waker;

pub use context_var::{ContextGuard, ContextVar};
pub use current::{CurrentTask, current_task};
pub(crate) use current::{current_id, is_in_task, spawn_child};
pub(crate) use executor::{Executor, Origin, is_large};
pub use handle::{Join, JoinHandle};
pub use id::TaskId;
pub use join_error::JoinError;
pub(crate) use local_waker::LocalWaker;
pub(crate) use running::{RunningGuard, RuntimeId, check_runtime, running};
pub(crate) use shrink::Shrink;
pub(crate) use task_ref::TaskRef;
pub(crate) use wake::{WakeSlot, poll_until, wake};
