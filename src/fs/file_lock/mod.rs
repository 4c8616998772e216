//! The lock of a file, and who waits for it.

mod request;

use std::future::poll_fn;

use request::Request;

use crate::sync::Lock;

/// What a file and its clones share of their lock.
#[derive(Default)]
pub(super) struct FileLock {
    /// Held while a lock is waited for.
    pub(super) queue: Lock<()>,
    pub(super) request: Request,
}

impl FileLock {
    /// Waits until no thread waits for a lock that no future wants.
    pub(super) async fn end_of_requests(&self) {
        let _alone = self.queue.lock().await;
        poll_fn(|context| self.request.poll_free(None, context)).await;
    }
}
