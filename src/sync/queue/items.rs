//! A queue's items as a stream.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::stream::FusedStream;

use super::core::QueueAccess;
use crate::sync::permits::{Acquire, PermitState};

/// A fused [`Stream`] of a queue's items.
///
/// It ends when the queue is closed and has no more items.
///
/// Between polls it keeps its position among the tasks that wait. Dropped, it takes no item.
#[must_use = "streams do nothing unless polled"]
pub struct QueueItems<'a, T> {
    queue: &'a dyn QueueAccess<T>,
    acquire: Option<Acquire<'a, RefCell<PermitState>>>,
    is_terminated: bool,
}

impl<'a, T> QueueItems<'a, T> {
    pub(super) fn new(queue: &'a dyn QueueAccess<T>) -> Self {
        Self { queue, acquire: None, is_terminated: false }
    }
}

impl<T> Stream for QueueItems<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let queue = self.queue;
        let acquire = self.acquire.get_or_insert_with(|| queue.content().acquire(1));
        let acquired = ready!(Pin::new(acquire).poll(context));
        self.acquire = None;
        let item = acquired.ok().and_then(|()| queue.remove());
        // For good: a queue is not opened again.
        self.is_terminated = item.is_none();
        Poll::Ready(item)
    }
}

impl<T> FusedStream for QueueItems<'_, T> {
    fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}

impl<T> fmt::Debug for QueueItems<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueItems").field("waiting", &self.acquire.is_some()).finish()
    }
}
