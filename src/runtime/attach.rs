//! Adding a queue to a runtime that other threads fill.

use std::rc::Rc;
use std::sync::Arc;

use super::context::Shared;
use super::remote::{Attachment, RemoteQueue};

impl Shared {
    /// Has the event loop serve a queue until the runtime ends.
    pub(super) fn attach<Q: RemoteQueue + 'static>(
        &self,
        make: impl FnOnce(Attachment) -> Q,
    ) -> Rc<Q> {
        let queue = Rc::new(make(Attachment {
            notifier: self.executor.notifier(),
            flush_request: self.flush_request.clone(),
            incidents: Arc::clone(self.driver.incidents()),
            max_polls_per_turn: self.max_polls_per_turn,
        }));
        self.remote_queues.borrow_mut().push(Rc::clone(&queue) as Rc<dyn RemoteQueue>);
        queue
    }
}
