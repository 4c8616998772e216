//! Tasks: what [`spawn`](crate::spawn) starts, and how a task is joined, cancelled and named.
//!
//! A task is a future that the event loop polls beside the other tasks of its thread.
//! [`JoinHandle`] waits for its outcome: the future's output, or a [`JoinError`] if the task
//! panicked or was cancelled.
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
//!     // Cancelling drops the future: destructors run, and no byte that has arrived is lost.
//!     endless.cancel();
//!     assert!(endless.await.unwrap_err().is_cancelled());
//! })?;
//! # Ok::<(), annulus::SetupError>(())
//! ```
//!
//! | to                                          | use                                           |
//! |---------------------------------------------|-----------------------------------------------|
//! | start a task                                | [`spawn`], [`spawn_named`]                    |
//! | start a task from another thread            | [`Handle::spawn`](crate::Handle::spawn)       |
//! | detach a task                               | drop its handle                               |
//! | join a task, and cancel it with the await   | `handle.await`                                |
//! | join a task, and leave it alone otherwise   | `(&mut handle).await`                         |
//! | cancel a task                               | [`JoinHandle::cancel`]                        |
//! | ask a task to end, then cancel it           | [`cancel_gracefully`]                         |
//! | wait for several tasks                      | [`join`](crate::join)                         |
//! | identify the current task                   | [`current_task`]                              |
//! | pass values to the tasks that a task spawns | [`ContextVar`]                                |
//! | give a sleep or a future to code that demands `Send` | [`ThreadBound`]                      |
//!
//! A detached task whose output is a `Result` has no caller that would see the error: log it in the
//! task.
//!
//! [`spawn`]: crate::spawn
//! [`spawn_named`]: crate::spawn_named
//! [`cancel_gracefully`]: crate::join::cancel_gracefully

// Structure
//
// A task is one allocation. Any thread may wake it; the thread that owns it polls it.
//
// - `cell` is that allocation: a `header` that any thread may reference, and the future, which only
//   the owner touches. `refs` counts references and frees the memory, which a `pool` keeps for
//   later tasks.
// - `scheduler` is what a thread's tasks share: the `ready_queue`, the `task_list` of all that have
//   not ended, and the `inbox` for tasks that other threads wake. These contain tasks by their
//   `links`. `schedule` puts a woken task into one of them.
// - `task_ref` is a task as its owner's thread references it: there it is polled, cancelled and
//   joined. `handle` is the public face of that. `disposal` ends tasks from within destructors.
// - `executor` is the owner's end of a scheduler, with which a runtime makes, polls and ends tasks;
//   `spawn` is how a task makes another. By a `notifier` other threads tell it that they have
//   filled a queue which is not the inbox.
// - `waker` makes a `std::task::Waker` of a header; a `local_waker` stores one without atomics;
//   `wake` is how other rooms store and wake them.
// - `current` knows the task that is being polled; `budget` and `coop` bound the work of one poll.
//   `running` knows which runtime's event loop the thread is inside of.
// - `blocking` waits for a future on a thread that runs no event loop.
// - `thread_bound` is a value of the owner's that may be sent, and comes home to be dropped.
// - `context_var` offers, and `values` contains, what tasks inherit.
// - `spsc` is a queue between two threads, and `signals` tell a thread with many of them which to
//   look at: for the messages between shards.
// - `shrink` is for the collections of other rooms: it frees the memory that a peak has left
//   behind.
//
// This room knows no kernel and no runtime: what it needs of them (a bell that ends a sleep) is
// passed in.
//
// Why this is sound
//
// *Who touches the future.* The future and its output are in the cell behind an `UnsafeCell` that
// only `TaskRef`, `JoinHandle` and `Executor` reach. All are `!Send`, are made on the owner's
// thread, and never leave it. Wakers reference the header alone.
//
// *No reentrance.* A poll or a destructor of the future can call anything, even code that reaches
// the same cell: a handle's drop, `cancel`, `wake`, the end of the runtime (the process's `exit`
// runs the destructors of thread-locals), an event loop inside of the event loop. All of these look
// at the task's *phase* before they touch the future: waiting, running or ended, in the header, set
// where the future is polled or dropped and nowhere else. A running task is neither polled nor
// dropped by any of them; if its poll never returns, it is leaked. See `header` and `cell`.
//
// *When memory is freed.* `refs` counts the wakers, the place in the inbox, and one for all local
// references of the owner's thread together, which `local_refs` counts without atomics. The last
// one, on any thread, frees the memory; by then the owner has dropped the future and the output, so
// no destructor of theirs runs there. See `refs`.

pub(crate) mod blocking;
mod budget;
mod cell;
mod context_var;
pub(crate) mod coop;
mod current;
mod disposal;
mod executor;
mod handle;
mod header;
mod id;
mod inbox;
mod join_error;
mod links;
mod local_waker;
pub(crate) mod loom;
#[cfg(all(test, annulus_loom))]
mod loom_tests;
mod notifier;
mod origin;
mod pool;
mod ready_queue;
mod refs;
mod running;
mod schedule;
mod scheduler;
mod shrink;
mod signals;
mod spawn;
mod spsc;
mod task_list;
mod task_ref;
#[cfg(all(test, not(annulus_loom)))]
mod tests;
mod thread_bound;
mod thread_id;
mod values;
mod wake;
#[cfg(test)]
mod wake_count;
mod waker;

pub use context_var::{ContextGuard, ContextVar};
pub use current::{CurrentTask, current_task};
pub(crate) use current::{current_id, is_in_task};
pub(crate) use executor::Executor;
pub use handle::{Join, JoinHandle};
pub use id::TaskId;
pub use join_error::JoinError;
pub(crate) use local_waker::LocalWaker;
pub(crate) use notifier::Notifier;
pub(crate) use origin::Origin;
pub(crate) use running::{RunningGuard, RuntimeId, check_runtime, running};
pub(crate) use shrink::Shrink;
pub(crate) use signals::Signals;
pub(crate) use spawn::{is_large, spawn_child};
pub(crate) use spsc::{Consumer, Producer, spsc};
pub(crate) use task_ref::TaskRef;
pub use thread_bound::ThreadBound;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
pub(crate) use thread_bound::{refusal, refuse};
pub(crate) use wake::{WakeSlot, poll_until, wake};
#[cfg(test)]
pub(crate) use wake_count::WakeCount;
