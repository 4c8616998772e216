//! Shards: a thread for each core, each with its own runtime, that share nothing.
//!
//! ```
//! use annulus::Shards;
//! use annulus::shards::Shard;
//!
//! let answers = Shards::builder().count(3).run(async |shard| {
//!     // The same code on three threads; each knows which one it is.
//!     let next = (shard.index() + 1) % shard.count();
//!     // A closure runs on another shard. It must be `Send`.
//!     let index = shard.run_on(next, || Shard::current().index()).await.unwrap();
//!     // The future that a closure makes there need not be, as it never leaves that shard.
//!     let task = shard.handle(next).spawn(move || async move { index * 10 }).unwrap();
//!     task.await.unwrap()
//! })?;
//! assert_eq!(answers, [10, 20, 0]);
//! # Ok::<(), annulus::shards::ShardsError>(())
//! ```
//!
//! # The model
//!
//! - A *shard* is a thread, by default one for each CPU that the process may use, and pinned to it.
//!   It has a runtime: a ring, an event loop, timers and tasks. No task moves to another shard, so
//!   futures need not be `Send`, and what one shard owns needs no lock.
//! - [`ShardsBuilder::run`] runs the same closure on every shard, as the main task of each. So a
//!   server is written for one core and runs on all. `#[annulus::main(shards = "cores")]` does it
//!   for a `main`.
//! - Data is split: each shard owns a part, such as the keys with a certain hash, or the
//!   connections that it has accepted ([`Sharded`] is a value for each). What belongs to another
//!   shard is asked for, by sending a closure there: [`Shard::run_on`], or a task by
//!   [`Shard::handle`].
//! - All shards start before any closure begins, and all runtimes end after the last closure has.
//!   In between, a shard whose closure has returned still serves the others: shard 0 may return
//!   while shard 1 waits for its answer.
//! - A shard that waits for another one does other work meanwhile. Two shards that wait for each
//!   other's tasks are no deadlock, unless the tasks themselves wait for each other.
//! - One [`Shutdown`](crate::Shutdown) reaches all. When a shard fails, it is requested, and the
//!   program ends in order; or only that shard restarts ([`OnFailure`]).
//! - Never block a shard's thread: nothing else of that shard runs meanwhile, and no timeout can
//!   end it. [`to_thread`](crate::blocking::to_thread) is for such work.
//!
//! # The end
//!
//! When the last closure has ended, each shard ends its runtime, as described at
//! [`Runtime`](crate::Runtime). These ends are not in step: shielded work and the destructors of
//! tasks may find that another shard has ended, and calls to it are refused. A destructor that
//! panics there is an [`Incident`](crate::Incident). If a task calls
//! [`exit`](std::process::exit), the process ends without any of this.
//!
//! A child that is forked on a shard must call `exec` or `exit`. If it goes on in the shard's
//! closure, the event loop panics at its next wait, and the child ends with status 101.
//!
//! # How it works
//!
//! - `builder` holds the configuration. `run` starts the threads, waits for them and collects what
//!   they return; `supervision` stops them when one fails.
//! - `placement` decides how many shards there are and on which CPU each runs, from what the
//!   `cpu_list` of the user or of the system says and from the `cpu_quota` of the control groups.
//! - `thread` is the life of one shard's thread; `start_gate` and `end_gate` are the two points at
//!   which the shards wait for each other.
//! - `failure` says when a shard restarts, and `ending` how a closure has ended.
//! - `shard` is what the code of a shard sees of all this; `messages` are the calls between shards.
//! - `outcome` says what a closure may return, and which of it is a failure.

mod builder;
mod cpu_list;
mod cpu_quota;
mod end_gate;
mod ending;
mod error;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod messages;
mod outcome;
mod placement;
mod run;
mod shard;
mod start_gate;
mod supervision;
mod thread;

// Its path is that at the root.
#[doc(hidden)]
pub use builder::Shards;
pub use builder::ShardsBuilder;
pub use cpu_list::{CpuList, ParseCpuListError};
pub use error::ShardsError;
pub use failure::{OnFailure, RestartOptions};
pub use messages::Sharded;
pub use outcome::ShardOutcome;
pub use shard::Shard;
