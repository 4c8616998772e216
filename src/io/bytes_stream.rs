//! Readers and writers for code that speaks in streams and sinks of [`Bytes`].

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::sink::Sink;
use futures_util::stream::{FusedStream, LocalBoxStream, Stream, StreamExt, unfold};

use super::goal::Goal;
use super::{AsyncRead, AsyncWrite, StreamWriter};
use crate::task::budget;

/// The pieces that come from something, as they come, until the end. After an error there is nothing.
///
/// They are not copied: a piece that is kept keeps a runtime-owned buffer.
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
pub fn bytes_stream<R: AsyncRead + 'static>(from: R) -> BytesStream {
    let pieces = unfold(Some(from), |from| async {
        let mut from = from?;
        match from.recv().await {
            Ok(end) if end.is_empty() => None,
            Ok(lease) => Some((Ok(Bytes::from(lease)), Some(from))),
            Err(error) => Some((Err(error), None)),
        }
    });
    BytesStream { pieces: Some(pieces.boxed_local()) }
}

/// The pieces that come from something; made by [`bytes_stream`].
#[must_use = "streams do nothing unless polled"]
pub struct BytesStream {
    /// Absent once it has ended.
    pieces: Option<LocalBoxStream<'static, io::Result<Bytes>>>,
}

impl Stream for BytesStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(budget::poll_spend(context));
        let Some(pieces) = &mut self.pieces else { return Poll::Ready(None) };
        let next = ready!(pieces.poll_next_unpin(context));
        if next.is_none() {
            self.pieces = None;
        }
        Poll::Ready(next)
    }
}

impl FusedStream for BytesStream {
    fn is_terminated(&self) -> bool {
        self.pieces.is_none()
    }
}

impl fmt::Debug for BytesStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesStream").field("ended", &self.is_terminated()).finish_non_exhaustive()
    }
}

/// A writer takes items as [`write`](StreamWriter::write) does, and is ready while there is room. Flushing
/// waits until the kernel has taken all, and closing until the connection has been let go of.
impl<T: AsRef<[u8]>, W: AsyncWrite + 'static> Sink<T> for StreamWriter<W> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_goal(Goal::Room(0), context)
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> io::Result<()> {
        self.write_nowait(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_goal(Goal::Sent, context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_goal(Goal::Sent, context))?;
        self.close();
        self.poll_goal(Goal::Closed, context)
    }
}
