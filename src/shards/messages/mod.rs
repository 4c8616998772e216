//! Messages between shards: closures that one shard has another run, and their outcomes.
//!
//! - [`run_on`] is what a shard offers: `run_on`, `run_on_all` and `map_reduce`. [`sharded`] is a
//!   value of each shard, reached by them, which `values` holds.
//! - `work` is the one box that a call allocates: the closure travels in it to the target, and the
//!   outcome in it back to the sender, which frees it.
//! - `link` is one direction between two shards, a queue of requests and one of answers
//!   (`task::spsc`). `mesh` makes the links of a run, between the `incarnation`s of its shards.
//! - `port` is a shard's end of all its links, and `calls` are those of its calls that have no
//!   answer yet.
//!
//! # The path of a call
//!
//! 1. The future of a call waits for one of the link's credits, in the order of arrival, then
//!    writes its request. That is not visible to the target yet.
//! 2. Before the event loop enters the kernel, it publishes what was written: one store for each
//!    queue, and one signal for each shard. So a thousand calls of one turn wake a sleeping shard
//!    once.
//! 3. The target runs the closures between its tasks, at most as many in a turn as tasks may be
//!    polled, in which the shards that have sent something share equally. It writes the answers,
//!    and publishes them in the same way.
//! 4. The sender takes the answers, which wakes their futures, and returns the credits.
//!
//! # Memory
//!
//! A link has a fixed number of slots, and a request occupies one until its answer was taken. A
//! sender that finds no credit waits, so a target that is blocked for an hour makes no queue grow.
//!
//! # Ends
//!
//! A shard that ends, in whatever way, drops its ends of the links. Its peers then end the calls
//! that it has not answered with `JoinError::Ended`. A shard that is restarted joins the mesh anew,
//! by new links: no request reaches an incarnation that it was not meant for.
//!
//! Requests that a shard had published when it ended are run all the same; their outcomes are
//! dropped by the target, or with the link. So is the outcome of a call whose future was dropped,
//! by the sender.

mod calls;
mod incarnation;
mod link;
#[cfg(all(test, annulus_loom))]
mod loom_tests;
mod making;
mod mesh;
mod port;
mod run_on;
mod sharded;
mod start_on;
mod values;
mod work;

pub(super) use mesh::Mesh;
pub(super) use port::Port;
pub use sharded::Sharded;
