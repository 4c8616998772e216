//! Doing several things at once, and ending them together.
//!
//! | to                                                    | use                                |
//! |-------------------------------------------------------|------------------------------------|
//! | have all outcomes, in order                           | [`gather`]                         |
//! | have all values, or the first error                   | [`try_gather`]                     |
//! | wait for the first, or for a while, and go on with all | [`wait`](fn@wait)                  |
//! | take outcomes as they come                            | [`as_completed`]                   |
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
mod child;
mod children;
mod gather;
mod try_gather;
mod tuple;
mod wait;

pub use as_completed::{AsCompleted, AsCompletedWithin, as_completed};
pub use child::{Child, Joined, Polled};
pub use gather::{Array, Gather, GatherFutures, GatherTasks, Iterated, Vector, gather};
pub use try_gather::{TryGather, try_gather};
pub use tuple::Tuple;
pub use wait::{Handle, ReturnWhen, Wait, wait};
