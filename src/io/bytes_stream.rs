//! Received bytes as a stream of [`Bytes`], for code that takes such streams.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{FusedStream, LocalBoxStream, Stream, StreamExt, unfold};

use super::AsyncRead;
use crate::task::coop;

/// Streams the bytes of a reader as they arrive, until EOF or an error.
///
/// They are not copied: an item that is kept keeps a runtime-owned buffer.
///
/// # Example
///
/// ```
/// use annulus::io::bytes_stream;
/// use annulus::net::TcpStream;
/// use futures_util::TryStreamExt;
///
/// async fn count(stream: TcpStream) -> std::io::Result<usize> {
///     bytes_stream(stream).try_fold(0, async |count, bytes| Ok(count + bytes.len())).await
/// }
/// ```
#[doc(alias = "ReaderStream")]
pub fn bytes_stream<R: AsyncRead + 'static>(from: R) -> BytesStream {
    let items = unfold(Some(from), |from| async {
        let mut from = from?;
        match from.recv().await {
            Ok(end) if end.is_empty() => None,
            Ok(lease) => Some((Ok(Bytes::from(lease)), Some(from))),
            Err(error) => Some((Err(error), None)),
        }
    });
    BytesStream { items: Some(items.boxed_local()) }
}

/// The stream of [`bytes_stream`].
#[must_use = "streams do nothing unless polled"]
pub struct BytesStream {
    /// `None` once it has ended.
    items: Option<LocalBoxStream<'static, io::Result<Bytes>>>,
}

impl Stream for BytesStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(coop::poll_spend(context));
        let Some(items) = &mut self.items else { return Poll::Ready(None) };
        let next = ready!(items.poll_next_unpin(context));
        if next.is_none() {
            self.items = None;
        }
        Poll::Ready(next)
    }
}

impl FusedStream for BytesStream {
    fn is_terminated(&self) -> bool {
        self.items.is_none()
    }
}

impl fmt::Debug for BytesStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesStream").field("ended", &self.is_terminated()).finish_non_exhaustive()
    }
}
