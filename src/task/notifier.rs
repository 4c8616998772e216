//! How other threads have an owner look at queues that are not the inbox.

use std::sync::Arc;

use super::running::check_runtime;
use super::scheduler::Scheduler;

/// Ends the sleep of an executor's owner, from any thread, and has it look at its queues.
///
/// Fill a queue, then [`notify`](Self::notify): [`Executor::receive`](super::Executor::receive)
/// then returns `true` once more, and the owner that looks at the queue afterwards sees what was
/// put there. A notification is one read-modify-write of a word, and a system call if the owner
/// sleeps: put as much as there is into the queues before it.
#[derive(Clone)]
pub(crate) struct Notifier {
    scheduler: Arc<Scheduler>,
}

impl Notifier {
    pub(super) fn new(scheduler: Arc<Scheduler>) -> Self {
        Self { scheduler }
    }

    /// Has no effect once the owner has closed its executor.
    pub(crate) fn notify(&self) {
        self.scheduler.notify();
    }

    /// Whether the calling thread is the executor's owner.
    pub(crate) fn is_owners(&self) -> bool {
        self.scheduler.is_owned_by_this_thread()
    }

    /// Call this before waiting for `what`, which the owner is to do.
    ///
    /// # Panics
    ///
    /// If the owner is this thread, inside of another runtime's event loop.
    #[track_caller]
    pub(crate) fn check_wait(&self, what: &str) {
        if self.is_owners() {
            check_runtime(self.scheduler.runtime, what);
        }
    }
}
