//! Writing frames.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_util::sink::Sink;

use super::Encoder;
use crate::io::{AsyncWrite, StreamWriter};

/// How much memory is kept for the next frame.
const KEPT_CAPACITY: usize = 64 * 1024;

/// Writes frames to a writer.
///
/// It is a `Sink`, too. All frames that are sent in one turn of the loop leave together.
///
/// # Example
///
/// ```
/// use annulus::codec::{FramedWrite, Lines};
/// use annulus::net::StreamWriter;
///
/// async fn greet(writer: StreamWriter) -> std::io::Result<()> {
///     let mut lines = FramedWrite::new(writer, Lines::new());
///     lines.send("hello").await?;
///     lines.send("goodbye").await?;
///     lines.flush().await
/// }
/// ```
pub struct FramedWrite<W: AsyncWrite, E> {
    writer: StreamWriter<W>,
    encoder: E,
    /// Empty. Its memory serves for the next frame.
    frame: BytesMut,
}

impl<W: AsyncWrite + 'static, E> FramedWrite<W, E> {
    /// Writes frames to a writer, behind what it has queued already.
    pub fn new(writer: StreamWriter<W>, encoder: E) -> Self {
        Self { writer, encoder, frame: BytesMut::new() }
    }

    /// Waits for room in the writer's queue, and then queues a frame.
    ///
    /// # Errors
    ///
    /// Those of the encoder and of the [writer](StreamWriter#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has queued nothing.
    pub async fn send<Item>(&mut self, item: Item) -> Result<(), E::Error>
    where
        E: Encoder<Item>,
    {
        self.writer.drain().await?;
        self.send_nowait(item)
    }

    /// Queues a frame without waiting, whatever the writer's limit.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn send_nowait<Item>(&mut self, item: Item) -> Result<(), E::Error>
    where
        E: Encoder<Item>,
    {
        // What an encoder that failed or panicked has left.
        self.frame.clear();
        self.encoder.encode(item, &mut self.frame)?;
        self.writer.write_nowait(&self.frame)?;
        if self.frame.capacity() > KEPT_CAPACITY {
            self.frame = BytesMut::new();
        }
        Ok(())
    }

    /// Waits until the kernel has taken all frames.
    ///
    /// # Errors
    ///
    /// Those of the [writer](StreamWriter#errors).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the frames are still sent.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.writer.flush().await
    }

    /// The encoder.
    pub fn encoder(&self) -> &E {
        &self.encoder
    }

    /// The encoder, to change what the next frame is.
    pub fn encoder_mut(&mut self) -> &mut E {
        &mut self.encoder
    }

    /// The writer.
    pub fn writer(&self) -> &StreamWriter<W> {
        &self.writer
    }

    /// The writer, to write what is no frame, or to close.
    pub fn writer_mut(&mut self) -> &mut StreamWriter<W> {
        &mut self.writer
    }

    /// Returns the writer and the encoder.
    pub fn into_parts(self) -> (StreamWriter<W>, E) {
        (self.writer, self.encoder)
    }
}

impl<W: AsyncWrite, E> Unpin for FramedWrite<W, E> {}

impl<W: AsyncWrite + 'static, E> FramedWrite<W, E> {
    /// The writer as a sink of bytes.
    fn sink(&mut self) -> Pin<&mut (impl Sink<Vec<u8>, Error = io::Error> + use<W, E>)> {
        Pin::new(&mut self.writer)
    }
}

impl<Item, W: AsyncWrite + 'static, E: Encoder<Item>> Sink<Item> for FramedWrite<W, E> {
    type Error = E::Error;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), E::Error>> {
        self.sink().poll_ready(context).map_err(Into::into)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Item) -> Result<(), E::Error> {
        self.send_nowait(item)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), E::Error>> {
        self.sink().poll_flush(context).map_err(Into::into)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), E::Error>> {
        self.sink().poll_close(context).map_err(Into::into)
    }
}

impl<W: AsyncWrite, E: fmt::Debug> fmt::Debug for FramedWrite<W, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramedWrite").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}
