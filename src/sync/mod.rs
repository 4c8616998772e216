//! Synchronisation for the tasks of one thread, with the behaviour of asyncio's; and [`remote`]
//! channels that cross threads.
//!
//! | | |
//! |---|---|
//! | [`Lock`], [`RwLock`] | a value for one task at a time, or many readers |
//! | [`Semaphore`], [`BoundedSemaphore`] | a number of permits |
//! | [`Event`], [`Condition`], [`Barrier`] | waiting for something to come about |
//! | [`Queue`], [`PriorityQueue`], [`LifoQueue`] | items from producers to consumers |
//! | [`oneshot`], [`watch`], [`broadcast`] | one value; the latest of a value; every value to all |
//! | [`remote`] | a channel and a oneshot between threads |
//!
//! Nothing here knows the kernel or the runtime: these are data structures and wakers, and work on
//! any executor. What two tasks share goes into an [`Rc`](std::rc::Rc).
//!
//! # Fairness
//!
//! Whoever waits is served first in, first out. What becomes free (a lock, a permit, room in a
//! queue) goes to the first waiter at once and not when its task gets to run, so nobody who comes
//! later can take it in between; also not a `try_` form, which fails while somebody waits. A task
//! that was given something and has not run yet holds up nobody else.
//!
//! asyncio's `Lock` and `Semaphore` are as fair, but its `Queue` lets newcomers, and `put_nowait`
//! and `get_nowait`, pass those that wait. asyncio's `Lock` counts as unlocked until the task that it
//! was given to runs; here it stays locked. And asyncio lets newcomers to a semaphore wait for those
//! that have been given a permit to run first, even if there are permits left; here they take one.
//!
//! Whatever is there at once takes a unit of the task's budget, so that a loop over something that is
//! always there lets other tasks have their turn.
//!
//! # Cancellation
//!
//! Every future here can be dropped at any moment. It then leaves its queue, and what it had been
//! given (a lock, a permit, an item, a notification) and has not returned goes to the next.
//!
//! A future that is forgotten ([`mem::forget`](std::mem::forget)) instead of dropped, after its first
//! poll, still has its turn and keeps what it is given then: a lock stays locked, a semaphore is one
//! permit short. Nothing worse.
//!
//! # Several runtimes on one thread
//!
//! A runtime runs only within its `block_on`. So a task that waits for what only a task of another
//! runtime of the same thread can give (a lock that this one holds, an item that it would put) waits
//! in silence for as long as its own runtime runs, and nothing here notices that: who will release
//! something, or send it, is not known. asyncio raises an error where tasks of two loops wait for one
//! primitive; here that is allowed, and works where one `block_on` follows upon another. Let runtimes
//! that are to talk to each other run on threads of their own, with [`remote`] channels between them.
//!
//! # Cost
//!
//! What need not wait is a few instructions. A wait takes an entry from a slab that each primitive
//! keeps, so once that has grown, waiting allocates nothing. The memory of a crowd is given back when
//! it has gone.

mod barrier;
mod bounded_semaphore;
pub mod broadcast;
mod condition;
mod event;
mod lock;
pub mod oneshot;
mod permits;
mod queue;
pub mod remote;
mod rw_lock;
mod semaphore;
mod state_cell;
mod wait;
mod wait_queue;
mod wake;
pub mod watch;

pub use barrier::{Barrier, Broken};
pub use bounded_semaphore::BoundedSemaphore;
pub use condition::{Condition, ConditionGuard};
pub use event::Event;
pub use lock::{Lock, LockGuard, OwnedLockGuard};
pub use queue::{
    Items, LifoQueue, PriorityQueue, PutError, Queue, ShutDown, Slot, TryGetError, TryPutError,
};
pub use rw_lock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{Closed, OwnedPermit, Permit, Semaphore, TryAcquireError};
