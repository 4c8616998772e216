//! The owner's end of the queue of calls, which makes tasks of them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::RemoteQueue;
use super::queue::{CallQueue, Queued, Unpolled};
use crate::task::{Executor, TaskRef};

pub(in crate::runtime) struct RemoteCalls {
    queue: Arc<CallQueue>,
    /// Bounded, so that the ready queue does not grow with what other threads send: what is not
    /// taken from the queue counts for its limit.
    unpolled: Unpolled,
    max_unpolled: usize,
    received: Cell<u64>,
    /// The main task of the `block_on` that is running.
    main: RefCell<Option<TaskRef>>,
    was_stopped: Cell<bool>,
    /// Memory for the next batch.
    batch: Cell<Vec<Arc<dyn Queued>>>,
}

impl RemoteCalls {
    /// Makes tasks of at most `max_unpolled` calls at a time.
    pub(in crate::runtime) fn new(queue: Arc<CallQueue>, max_unpolled: usize) -> Self {
        Self {
            queue,
            unpolled: Unpolled::default(),
            max_unpolled,
            received: Cell::new(0),
            main: RefCell::new(None),
            was_stopped: Cell::new(false),
            batch: Cell::default(),
        }
    }

    pub(in crate::runtime) fn queue(&self) -> &Arc<CallQueue> {
        &self.queue
    }

    /// How many calls were received.
    pub(in crate::runtime) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Cancels the main task if a handle says so, until the guard is dropped.
    pub(in crate::runtime) fn stop_main(&self, main: &TaskRef) -> StopGuard<'_> {
        self.main.replace(Some(main.clone()));
        self.was_stopped.set(false);
        self.heed_stop();
        StopGuard(self)
    }

    fn heed_stop(&self) {
        if let Some(main) = &*self.main.borrow() {
            if self.queue.take_stop() {
                self.was_stopped.set(true);
                main.cancel();
            }
        }
    }
}

/// See [`RemoteCalls::stop_main`].
pub(in crate::runtime) struct StopGuard<'a>(&'a RemoteCalls);

impl StopGuard<'_> {
    /// Whether a handle has cancelled the main task, unless that ended before.
    pub(in crate::runtime) fn was_stopped(&self) -> bool {
        self.0.was_stopped.get()
    }
}

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        // A stop that came too late for this main task is not one of the next.
        self.0.heed_stop();
        self.0.main.replace(None);
    }
}

impl RemoteQueue for RemoteCalls {
    fn receive(&self, executor: &Executor) -> bool {
        self.heed_stop();
        let mut batch = self.batch.take();
        let room = self.max_unpolled.saturating_sub(self.unpolled.count());
        let has_more = self.queue.take(room, &mut batch);
        self.received.set(self.received.get() + batch.len() as u64);
        for call in batch.drain(..) {
            call.start(executor, self.unpolled.add());
        }
        self.batch.set(batch);
        has_more
    }

    fn close(&self) {
        for call in self.queue.close() {
            call.refuse();
        }
    }
}
