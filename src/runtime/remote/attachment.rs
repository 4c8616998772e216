//! What a runtime gives to a queue of its thread that other threads fill.

use std::cell::Cell;
use std::rc::Rc;

use crate::error::IncidentHook;
use crate::task::Notifier;

pub(crate) struct Attachment {
    /// Has the runtime look at the queue.
    pub(crate) notifier: Notifier,
    pub(crate) flush_request: FlushRequest,
    pub(crate) incidents: IncidentHook,
    /// How many closures of users a turn may run.
    pub(crate) max_polls_per_turn: usize,
}

/// Has the event loop call [`RemoteQueue::flush`](super::RemoteQueue::flush) before it next enters
/// the kernel.
#[derive(Clone, Default)]
pub(crate) struct FlushRequest(Rc<Cell<bool>>);

impl FlushRequest {
    #[inline]
    pub(crate) fn request(&self) {
        self.0.set(true);
    }

    /// Whether it was requested since the last call.
    #[inline]
    pub(in crate::runtime) fn take(&self) -> bool {
        self.0.get() && self.0.replace(false)
    }
}
