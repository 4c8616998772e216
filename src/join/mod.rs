//! Doing several things at once, and ending them together.
//!
//! | to                                                    | use                                |
//! |-------------------------------------------------------|------------------------------------|
//! | have all outcomes, in order                           | [`gather`]                         |
//! | have all values, or the first error                   | [`try_gather`]                     |
//! | wait for the first, or for a while, and go on with all | [`wait`](fn@wait)                  |
//! | take outcomes as they come                            | [`as_completed`](fn@as_completed)  |
//! | own tasks whose outcomes come in any order            | [`TaskSet`]                        |
//! | have children that borrow, and end with the first failure | [`task_group`](fn@task_group)  |
//! | go on also if nobody waits any more                   | [`shield`](fn@shield)              |
//! | block, on a thread                                    | [`to_thread`](fn@to_thread)        |
//! | call a function later                                 | [`call_soon`], [`call_later`], [`call_at`] |
//! | ask for an end instead of dropping                    | [`CancelToken`]                    |
//!
//! # What becomes of the others
//!
//! What a combinator *owns* (futures, and tasks by their handles) is cancelled when it is dropped;
//! what it only *borrowed* (`&mut` handles) goes on. So nothing is left running that nobody knows of.
//!
//! # Cost
//!
//! Linear in the number of children: each has a waker of its own, and a wake has only that child
//! polled again.

mod as_completed;
mod call;
mod cancel_token;
mod child;
mod children;
mod gather;
mod shield;
mod task_group;
mod task_set;
mod threads;
mod try_gather;
mod tuple;
mod wait;
mod wake_all;

pub use as_completed::{AsCompleted, AsCompletedWithin, as_completed};
pub use call::{CallHandle, call_at, call_later, call_soon};
pub use cancel_token::{CancelOnDrop, CancelToken, Cancelled, cancel_gracefully};
pub use child::{Child, Joined, Polled};
pub use gather::{Array, Gather, GatherFutures, GatherTasks, Iterated, Vector, gather};
pub use shield::{Shield, shield};
pub use task_group::{GroupError, GroupHandle, TaskGroup, task_group};
pub use task_set::TaskSet;
pub use threads::{ThreadHandle, ThreadPool, to_thread};
pub use try_gather::{TryGather, try_gather};
pub use tuple::Tuple;
pub use wait::{Handle, ReturnWhen, Wait, wait};
