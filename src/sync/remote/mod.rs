//! Channels that cross threads: `Send`, between tasks of several runtimes, and plain threads.
//!
//! They use a mutex of the standard library, which is locked for a few instructions and never while
//! foreign code runs. Within one thread, a [`Queue`](crate::sync::Queue) and
//! [`sync::oneshot`](crate::sync::oneshot) are cheaper. The errors of [`oneshot`] are those of
//! [`sync::oneshot`](crate::sync::oneshot).

mod channel;
mod error;
pub mod oneshot;

pub use channel::{Receiver, Sender, channel};
pub use error::{SendError, TryRecvError, TrySendError};
