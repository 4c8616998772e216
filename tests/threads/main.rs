//! What crosses threads: wakers, channels, handles of runtimes, cancellation and the pool for
//! closures that block.
//!
//! CI runs this binary with the thread sanitizer, too.

#[path = "../common/mod.rs"]
mod common;

mod cancel_token;
mod event_fd;
mod guest;
mod handle;
mod handle_ends;
mod messages;
mod remote;
mod restarts;
mod ring_workers;
mod sharded;
mod shards;
mod shutdown;
mod thread_bound;
mod thread_pool;
mod wakes;
