//! What crosses threads: wakers, channels, cancellation and the pool for closures that block.
//!
//! CI runs this binary with the thread sanitizer, too.

#[path = "../common/mod.rs"]
mod common;

mod cancel_token;
mod remote;
mod shutdown;
mod thread_pool;
mod wakes;
