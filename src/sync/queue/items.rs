//! A queue's items as a stream.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use super::core::Endpoints;
use crate::sync::permits::{Acquire, PermitState};

/// A [`Stream`] of a queue's items, which ends when the queue is shut down.
///
/// It keeps its turn between polls. Dropped, it takes no item with it.
#[must_use = "streams do nothing unless polled"]
pub struct Items<'a, T> {
    queue: &'a dyn Endpoints<T>,
    acquire: Option<Acquire<'a, RefCell<PermitState>>>,
}

impl<'a, T> Items<'a, T> {
    pub(super) fn new(queue: &'a dyn Endpoints<T>) -> Self {
        Self { queue, acquire: None }
    }
}

impl<T> Stream for Items<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let queue = self.queue;
        let acquire = self.acquire.get_or_insert_with(|| queue.content().acquire(1));
        let acquired = ready!(Pin::new(acquire).poll(context));
        self.acquire = None;
        Poll::Ready(acquired.ok().and_then(|()| queue.remove()))
    }
}

impl<T> fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("waiting", &self.acquire.is_some()).finish()
    }
}
