//! Shards: one thread for each core, each with its own runtime, sharing nothing.
//!
//! [`Shards`] starts the threads and runs the same async closure on every one:
//!
//! ```
//! let squares = annulus::Shards::builder()
//!     .count(3)
//!     .run(async |shard| shard.index() * shard.index())?;
//! assert_eq!(squares, [0, 1, 4]);
//! # Ok::<(), annulus::shards::ShardsError>(())
//! ```
//!
//! # How it works
//!
//! - `builder` holds the configuration, and `run` starts the threads, waits for them and collects
//!   what they return.
//! - `placement` decides how many shards there are and on which CPU each runs, from what the
//!   `cpu_list` of the user or of the system says and from the `cpu_quota` of the control groups.
//! - `thread` is the life of one shard's thread; `start_gate` and `end_gate` are the two points at
//!   which the shards wait for each other.
//! - `shard` is what the code of a shard sees of all this; `messages` are the calls between shards.
//! - `outcome` says what a closure may return, and which of it is a failure.

mod builder;
mod cpu_list;
mod cpu_quota;
mod end_gate;
mod ending;
mod error;
mod failure;
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
