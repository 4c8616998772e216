//! One life of a shard, as its peers reach it.

use crate::task::loom::{AtomicBool, Ordering};
use crate::task::{Notifier, Signals};

/// One life of a shard. A shard that is restarted has a new one: what is meant for the former never
/// reaches it, and cannot be taken for what is meant for the new one.
pub(super) struct Incarnation {
    index: usize,
    notifier: Notifier,
    /// A bit for each shard. Its own is for what comes from no shard in particular.
    signals: Signals,
    has_offers: AtomicBool,
}

impl Incarnation {
    pub(super) fn new(index: usize, count: usize, notifier: Notifier) -> Self {
        Self { index, notifier, signals: Signals::new(count), has_offers: AtomicBool::new(false) }
    }

    /// Has the shard look at its queues from a peer, from any thread.
    pub(super) fn signal(&self, peer: usize) {
        if self.signals.raise(peer) {
            self.notifier.notify();
        }
    }

    /// Has the shard look for values that have no owner any more.
    pub(super) fn signal_itself(&self) {
        self.signal(self.index);
    }

    /// Has the shard take the links that the mesh offers it.
    pub(super) fn offer(&self, peer: usize) {
        self.has_offers.store(true, Ordering::Release);
        self.signal(peer);
    }

    /// Whether there are offers since the last call.
    pub(super) fn take_offers(&self) -> bool {
        self.has_offers.load(Ordering::Relaxed) && self.has_offers.swap(false, Ordering::Acquire)
    }

    /// Passes the peers that have signalled to `sink`.
    pub(super) fn take_signals(&self, sink: impl FnMut(usize)) {
        self.signals.take(sink);
    }
}
