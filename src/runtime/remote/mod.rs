//! What other threads have a runtime do: calls through a [`Handle`](crate::Handle), and whatever
//! else puts work into a queue of the runtime's thread.
//!
//! A thread fills a queue and then notifies the owner ([`Notifier`](crate::task::Notifier)). The
//! event loop looks at the queues ([`RemoteQueue`]) when it was notified, and only then: a runtime
//! that no thread calls pays nothing for them.
//!
//! - `queue` is the bounded queue of calls, which handles fill. Its owner's end, in `calls`, makes
//!   a task of each call, as many in a turn as tasks may be polled, so that a flood of calls delays
//!   neither timers nor connections.
//! - `call` is one call in the queue, and the task that becomes of it.
//! - `outcome` is what that task shares with its `join_handle`.
//! - `error` says why a call was not queued.
//!
//! A mutex guards the queue, and one guards each outcome. No foreign code (closures, wakers,
//! destructors) runs while one is locked.

mod attachment;
mod call;
mod calls;
mod error;
mod join_handle;
mod outcome;
mod queue;
#[cfg(all(test, not(annulus_loom)))]
mod tests;

use crate::task::Executor;

pub(crate) use attachment::{Attachment, FlushRequest};
pub(super) use call::{Called, Large, Spawned, Work, push};
pub(super) use calls::RemoteCalls;
pub use error::SpawnError;
pub use join_handle::RemoteJoinHandle;
pub(super) use queue::CallQueue;

/// The owner's end of a queue that other threads fill, before they notify the owner.
pub(crate) trait RemoteQueue {
    /// Takes in what has arrived, within a bound. Returns whether there is more: then the event
    /// loop does not sleep, and calls this again in its next turn. May run foreign code, whose
    /// panics it catches.
    fn receive(&self, executor: &Executor) -> bool;

    /// Shows other threads what this one has written for them. Called before the event loop enters
    /// the kernel, once it was [requested](FlushRequest).
    fn flush(&self) {}

    /// Refuses what arrives from now on, and disposes of what has arrived. The runtime ends; its
    /// tasks are still there.
    fn close(&self);
}
