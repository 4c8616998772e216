//! Channels that cross threads: `Send`, between tasks of several runtimes, and plain threads.
//!
//! Behind them stands a mutex of the standard library, which is held for a few instructions and never
//! while foreign code runs. Within one thread, a [`Queue`](crate::sync::Queue) and
//! [`sync::oneshot`](crate::sync::oneshot) are cheaper.

mod blocking;
pub mod channel;
pub mod oneshot;

pub use channel::{Receiver, Sender, channel};
