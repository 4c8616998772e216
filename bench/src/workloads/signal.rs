//! The least that one task needs to wake another: what is measured is the runtime's wake-up, not
//! the channel of its library.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

/// A flag that a task can wait for. Clones are the same flag.
#[derive(Clone, Default)]
pub(crate) struct Signal(Arc<State>);

#[derive(Default)]
struct State {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Signal {
    /// Raises the flag and wakes the waiting task.
    pub(crate) fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Waits until the flag is raised, and lowers it.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| {
            if self.lower() {
                return Poll::Ready(());
            }
            self.0.waker.register(context.waker());
            // It may have been raised before the waker was there.
            if self.lower() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn lower(&self) -> bool {
        // Only the one who waits lowers it, so that a look and a store are enough.
        let raised = self.0.raised.load(Ordering::Acquire);
        if raised {
            self.0.raised.store(false, Ordering::Relaxed);
        }
        raised
    }
}
