//! Tasks: one allocation each, woken from any thread, run by the one that owns them.
//!
//! - `cell` is that allocation: a `header` that any thread may hold, and the future, which only
//!   the owner touches.
//! - `shard` is what a thread's tasks share: the queue of those that are ready, and the `inbox`
//!   where other threads put the ones they wake.
//! - `waker` makes a [`std::task::Waker`] of a header.
//! - `make` makes tasks, also of futures that borrow; `handle` is how an outcome is waited for.
//! - `current` and `budget` belong to the task that is being polled; `context` holds values that go on
//!   to the tasks that it spawns.
//!
//! This room knows no kernel and no runtime: what it needs of them (something that ends a sleep) is
//! passed in.
//!
//! # Why this is sound
//!
//! *Who touches the future.* The future and its output live in the cell behind an `UnsafeCell` that
//! only `Task`, [`JoinHandle`] and `make` reach. All are `!Send`, are made on the owner's
//! thread, and never leave it. Wakers hold the header alone.
//!
//! *Who may be in it twice.* A poll or a destructor of the future can call anything, also things
//! that reach the same cell: a handle's drop, `cancel`, `wake`. These only change the header's
//! cells; the stage (future or output) is replaced before a value taken from it is dropped, and the
//! future is dropped in place only after the stage says so. See `cell`.
//!
//! *When memory is freed.* `references` counts the wakers, the places in the inbox, and one for all
//! that the owner's thread holds together, which are counted apart and not atomically. The last
//! one, on whatever thread, frees the memory; by then the owner has dropped future and output, so
//! nothing of theirs is dropped there. See `header`.

mod atomic;
pub(crate) mod budget;
mod cell;
mod context;
mod current;
mod handle;
mod header;
mod id;
mod inbox;
mod join_error;
pub(crate) mod make;
#[cfg(all(test, annulus_loom))]
mod model;
mod shard;
mod thread_id;
mod waker;

pub(crate) use cell::{Progress, Task};
pub use context::{Bound, ContextVar};
pub(crate) use current::current_id;
pub use current::{CurrentTask, current_task};
pub use handle::{Join, JoinHandle, JoinMut};
pub use id::TaskId;
pub use join_error::JoinError;
pub(crate) use shard::{Origin, Shard};
