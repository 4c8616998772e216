//! The changes of a descriptor's readiness, as a stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Stream;

use super::readiness::Ready;
use crate::op::PollEvents;

/// The stream of [`AsyncFd::events`](super::AsyncFd::events).
///
/// # Cancel safety
///
/// A dropped [`next`](futures_util::StreamExt::next) loses no report. When the stream is dropped,
/// the poll is cancelled.
#[must_use = "streams do nothing unless polled"]
pub struct ReadyEvents<'a, T> {
    value: &'a T,
    poll: PollEvents,
}

impl<'a, T> ReadyEvents<'a, T> {
    pub(super) fn new(value: &'a T, poll: PollEvents) -> Self {
        Self { value, poll }
    }

    /// The value that has the descriptor.
    pub fn get_ref(&self) -> &'a T {
        self.value
    }
}

impl<T> Stream for ReadyEvents<'_, T> {
    type Item = io::Result<Ready>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll.poll_next(context).map(|reported| Some(reported.map(Ready::new)))
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadyEvents<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyEvents").field("value", self.value).finish_non_exhaustive()
    }
}
