//! Reading and writing frames on one connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::sink::Sink;
use futures_util::stream::{FusedStream, Stream};

use super::{Decoder, Encoder, FramedRead, FramedWrite};
use crate::io::{AsyncRead, AsyncWrite, StreamReader, StreamWriter};

/// Reads and writes frames on one connection.
///
/// It is a `Stream` and a `Sink`, too. The [module](crate::codec) has an example.
#[derive(Debug)]
pub struct Framed<R, W: AsyncWrite, D, E = D> {
    read: FramedRead<R, D>,
    write: FramedWrite<W, E>,
}

impl<R: AsyncRead, W: AsyncWrite + 'static, C: Decoder + Clone> Framed<R, W, C> {
    /// Reads frames from a reader and writes frames to a writer, each with a clone of the codec.
    pub fn new(reader: StreamReader<R>, writer: StreamWriter<W>, codec: C) -> Self {
        let encoder = codec.clone();
        Self::of(FramedRead::new(reader, codec), FramedWrite::new(writer, encoder))
    }
}

impl<R: AsyncRead, W: AsyncWrite + 'static, D: Decoder, E> Framed<R, W, D, E> {
    /// Puts two halves together.
    pub fn of(read: FramedRead<R, D>, write: FramedWrite<W, E>) -> Self {
        Self { read, write }
    }

    /// Reads the next frame; `None` at EOF and after an error.
    ///
    /// # Errors
    ///
    /// As for [`FramedRead::next`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: received bytes stay in the reader.
    pub async fn next(&mut self) -> Option<Result<D::Item, D::Error>> {
        self.read.next().await
    }

    /// Waits for room in the writer's queue, and then queues a frame.
    ///
    /// # Errors
    ///
    /// As for [`FramedWrite::send`].
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
        self.write.send(item).await
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
        self.write.flush().await
    }

    /// The reading half.
    pub fn read_half(&mut self) -> &mut FramedRead<R, D> {
        &mut self.read
    }

    /// The writing half.
    pub fn write_half(&mut self) -> &mut FramedWrite<W, E> {
        &mut self.write
    }

    /// Takes it apart, for two tasks of this thread.
    pub fn into_split(self) -> (FramedRead<R, D>, FramedWrite<W, E>) {
        (self.read, self.write)
    }
}

impl<R: AsyncRead + 'static, W: AsyncWrite, D: Decoder, E> Stream for Framed<R, W, D, E> {
    type Item = Result<D::Item, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.read).poll_next(context)
    }
}

impl<R: AsyncRead + 'static, W: AsyncWrite, D: Decoder, E> FusedStream for Framed<R, W, D, E> {
    fn is_terminated(&self) -> bool {
        self.read.is_terminated()
    }
}

impl<Item, R, W, D, E> Sink<Item> for Framed<R, W, D, E>
where
    W: AsyncWrite + 'static,
    E: Encoder<Item>,
{
    type Error = E::Error;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), E::Error>> {
        Pin::new(&mut self.write).poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Item) -> Result<(), E::Error> {
        Pin::new(&mut self.write).start_send(item)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), E::Error>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), E::Error>> {
        Pin::new(&mut self.write).poll_close(context)
    }
}
