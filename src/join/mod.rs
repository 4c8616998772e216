//! Doing several things at once, and ending them together.
//!
//! | to                                                    | use                                |
//! |-------------------------------------------------------|------------------------------------|
//! | have all outcomes, in order                           | [`gather`](fn@gather)              |
//! | have all values, or the first error                   | [`try_gather`](fn@try_gather)      |
//! | wait for the first, or for a while, and go on with all | [`wait`](fn@wait)                  |
//! | take outcomes as they come                            | [`as_completed`](fn@as_completed)  |
//! | own tasks whose outcomes come in any order            | [`TaskSet`]                        |
//! | have children that borrow, and end with the first failure | [`task_group`](fn@task_group)  |
//! | go on also if nobody waits any more                   | [`shield`](fn@shield)              |
//! | block, on a thread                                    | [`to_thread`](fn@to_thread)        |
//! | call a function later                                 | [`call_soon`], [`call_later`], [`call_at`] |
//! | ask for an end instead of dropping                    | [`CancelToken`]                    |
//!
//! A time limit is put on any of them by [`time`](crate::time).
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
//!
//! # Which comes first
//!
//! `futures_util::select!` awaits several things that differ and goes on with the first. What it has
//! not chosen is not lost: reads, accepts, receives, `tick`, `join_next` and `cancelled` may be dropped
//! and asked again, and handles are borrowed by `(&mut handle).into_future()`.
//!
//! ```
//! use std::future::IntoFuture;
//! use std::pin::pin;
//! use std::time::Duration;
//! use annulus::time::{interval, sleep};
//! use futures_util::{FutureExt, select};
//!
//! annulus::run(async {
//!     let mut work = annulus::spawn(sleep(Duration::from_millis(20)));
//!     let mut ticks = interval(Duration::from_millis(1));
//!     let mut seen = 0;
//!     loop {
//!         select! {
//!             outcome = (&mut work).into_future().fuse() => break outcome.unwrap(),
//!             _ = pin!(ticks.tick().fuse()) => seen += 1,
//!         }
//!     }
//!     assert!(seen > 1);
//! })?;
//! # Ok::<(), annulus::SetupError>(())
//! ```
//!
//! # What `async with` does elsewhere
//!
//! A guard is a value whose destructor ends what making it began: a connection is closed when its
//! stream is dropped, a token cancelled by [`CancelOnDrop`], a value restored by
//! [`Bound`](crate::task::Bound), tasks cancelled by the drop of their [`TaskSet`]. Destructors cannot
//! await. Where the end has to be awaited, the body is an async closure and the call awaits the end
//! after it: [`task_group`](fn@task_group), [`timeout_scope`](crate::time::timeout_scope).

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
