//! Waiting for something that wakes no task.

use std::cell::RefCell;
use std::fmt::Debug;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use annulus::time::sleep;

/// Waits, without keeping the loop busy, until `condition` holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        sleep(Duration::from_micros(200)).await;
    }
}

/// Polls once with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What happened, in order.
#[derive(Clone, Debug)]
pub(crate) struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T> Log<T> {
    pub(crate) fn push(&self, event: T) {
        self.0.borrow_mut().push(event);
    }

    /// All that has been pushed since the last call.
    pub(crate) fn take(&self) -> Vec<T> {
        self.0.take()
    }
}
