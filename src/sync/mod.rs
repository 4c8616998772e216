//! Synchronisation for the tasks of one thread, with the behaviour of asyncio; and [`remote`]
//! channels that cross threads.
//!
//! | | |
//! |---|---|
//! | [`Lock`], [`RwLock`] | a value for one task at a time, or for many readers |
//! | [`Semaphore`], [`BoundedSemaphore`] | a number of permits |
//! | [`Event`], [`Condition`], [`Barrier`] | waiting until something is true |
//! | [`Queue`], [`PriorityQueue`], [`LifoQueue`] | items from producers to consumers |
//! | [`oneshot`], [`watch`], [`broadcast`] | one value; the latest value; every value to all |
//! | [`remote`] | a channel and a oneshot between threads |
//!
//! Nothing here knows the kernel or the runtime: these are data structures and wakers, and work on
//! any executor. To share one between tasks, put it into an [`Rc`](std::rc::Rc).
//!
//! # Fairness
//!
//! Waiters are served first in, first out. What becomes free (a lock, a permit, room in a queue)
//! goes to the first waiter at once, not when its task is polled. So no newcomer takes it in
//! between, not even by a `try_` method: those fail while a task waits. A task that was given
//! something and has not been polled yet delays no other waiter.
//!
//! asyncio's `Lock` and `Semaphore` are as fair, but its `Queue` lets newcomers, `put_nowait` and
//! `get_nowait` overtake waiters. asyncio's `Lock` counts as unlocked until the task that it was
//! given to runs; here it stays locked. And newcomers to asyncio's semaphore wait until waiters
//! that were given a permit have run, even if more permits are available; here they take one.
//!
//! What need not wait takes one unit of the task's budget, so that a loop over something that is
//! always available does not starve other tasks.
//!
//! # Cancellation
//!
//! Every future here can be dropped at any moment. It is then removed from its wait queue, and what
//! it was given (a lock, a permit, an item, a notification) but has not returned goes to the next
//! waiter.
//!
//! A future that is forgotten ([`mem::forget`](std::mem::forget)) instead of dropped, after its
//! first poll, stays in the queue and keeps what it is then given: a lock stays locked, a semaphore
//! has one permit fewer. Nothing worse happens.
//!
//! # Several runtimes on one thread
//!
//! A runtime runs only within its `block_on`. So a task that waits for something which only a task
//! of another runtime on the same thread can provide (the release of a lock, an item) waits without
//! an error for as long as its own runtime runs: no primitive knows which task will provide it.
//! asyncio raises an error if tasks of two loops wait for one primitive; here that is allowed, and
//! works where one `block_on` follows another. Runtimes that communicate should run on separate
//! threads, with [`remote`] channels between them.
//!
//! # Cost
//!
//! What need not wait is a few instructions. A wait takes an entry in a slab that each primitive
//! has, so waiting allocates nothing once the slab has grown. The memory of a crowd is freed once
//! no task waits.

mod barrier;
mod bounded_semaphore;
pub mod broadcast;
mod condition;
mod endpoints;
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
pub mod watch;

pub use barrier::{Barrier, BrokenBarrier};
pub use bounded_semaphore::BoundedSemaphore;
pub use condition::{Condition, ConditionGuard};
pub use event::Event;
pub use lock::{Lock, LockGuard, OwnedLockGuard};
pub use queue::{
    LifoQueue, PriorityQueue, PutError, Queue, QueueClosed, QueueItems, QueuePermit, TryGetError,
    TryPutError,
};
pub use rw_lock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{AcquireError, OwnedPermit, Permit, Semaphore, TryAcquireError};
