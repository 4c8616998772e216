//! The I/O traits, for all that reaches an engine: a stream, which owns it, and halves, which share
//! it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use annulus::buf::{BufResult, IoBuf, IoBufMut, Lease};

use crate::engine::Engine;
use crate::transport::Transport;

/// Something that reaches an engine.
pub(crate) trait Access {
    type Transport: Transport;

    /// Runs a closure with the engine. Halves borrow it meanwhile, so no foreign code may run.
    fn with<R>(&mut self, run: impl FnOnce(&mut Engine<Self::Transport>) -> R) -> R;

    /// Notes the waker of a read that waits, for halves, of which one can end the other's wait.
    fn note_reader(&mut self, _context: &Context<'_>) {}

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (polled, unblocked) =
            self.with(|engine| (engine.poll_readable(context), engine.take_unblocked()));
        if let Some(writer) = unblocked {
            writer.wake();
        }
        if polled.is_pending() {
            self.note_reader(context);
        }
        polled
    }

    /// Reads into memory that `take` writes, piece by piece. Nothing read means EOF.
    fn poll_read_with(
        &mut self,
        context: &mut Context<'_>,
        room: usize,
        take: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        if room > 0 {
            ready!(self.poll_readable(context))?;
            self.with(|engine| engine.take_plaintext(room, take));
        }
        Poll::Ready(Ok(()))
    }

    /// Receives all plaintext that there is.
    async fn recv_lease(&mut self) -> io::Result<Lease> {
        poll_fn(|context| self.poll_readable(context)).await?;
        let mut bytes = Vec::new();
        self.with(|engine| engine.take_plaintext(usize::MAX, |some| bytes.extend_from_slice(some)));
        Ok(Lease::from(bytes))
    }

    /// Reads into an owned buffer.
    async fn read_owned<B: IoBufMut>(&mut self, mut buffer: B) -> BufResult<usize, B> {
        if buffer.bytes_total() == 0 {
            return BufResult(Ok(0), buffer);
        }
        if let Err(error) = poll_fn(|context| self.poll_readable(context)).await {
            return BufResult(Err(error), buffer);
        }
        let count = self.with(|engine| {
            let count = buffer.fill_from(engine.plaintext());
            engine.consume(count);
            count
        });
        BufResult(Ok(count), buffer)
    }

    /// Writes all of a buffer, and waits until the transport has sent it.
    async fn write_all_owned<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        let (mut written, bytes) = (0, buffer.as_bytes());
        let result = poll_fn(|context| {
            while written < bytes.len() {
                let rest = [IoSlice::new(&bytes[written..])];
                written += ready!(self.with(|engine| engine.poll_write(context, &rest)))?;
            }
            self.with(|engine| engine.poll_sent(context))
        })
        .await;
        BufResult(result, buffer)
    }
}

/// Implements the three reading traits for a type that is an [`Access`].
macro_rules! impl_read {
    ($type:ident) => {
        impl<T: Transport> tokio::io::AsyncRead for $type<T> {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let room = buffer.remaining();
                self.get_mut().poll_read_with(context, room, |bytes| buffer.put_slice(bytes))
            }
        }

        impl<T: Transport> futures_io::AsyncRead for $type<T> {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let mut count = 0;
                let read = self.get_mut().poll_read_with(context, buffer.len(), |bytes| {
                    buffer[count..][..bytes.len()].copy_from_slice(bytes);
                    count += bytes.len();
                });
                read.map_ok(|()| count)
            }
        }

        /// `recv` copies the plaintext into memory of its own: rustls keeps what it decrypts.
        impl<T: Transport> annulus::io::AsyncRead for $type<T> {
            async fn recv(&mut self) -> io::Result<annulus::buf::Lease> {
                self.recv_lease().await
            }

            async fn read<B: annulus::buf::IoBufMut>(
                &mut self,
                buffer: B,
            ) -> annulus::buf::BufResult<usize, B> {
                self.read_owned(buffer).await
            }
        }
    };
}

/// Implements the three writing traits for a type that is an [`Access`], which says itself what it
/// does to `abort` and `close`.
macro_rules! impl_write {
    ($type:ident { $($own:item)* }) => {
        impl<T: Transport> tokio::io::AsyncWrite for $type<T> {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let bytes = [IoSlice::new(bytes)];
                self.get_mut().with(|engine| engine.poll_write(context, &bytes))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.get_mut().with(|engine| engine.poll_write(context, buffers))
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.get_mut().with(|engine| engine.poll_flush(context))
            }

            fn poll_shutdown(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.get_mut().with(|engine| engine.poll_close(context))
            }
        }

        impl<T: Transport> futures_io::AsyncWrite for $type<T> {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                tokio::io::AsyncWrite::poll_write(self, context, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                tokio::io::AsyncWrite::poll_write_vectored(self, context, buffers)
            }

            fn poll_flush(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                tokio::io::AsyncWrite::poll_flush(self, context)
            }

            fn poll_close(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                tokio::io::AsyncWrite::poll_shutdown(self, context)
            }
        }

        /// `write_all` waits until the kernel has taken the records. Dropped, it may have written a
        /// part; what was encrypted is sent before what is written next.
        impl<T: Transport> annulus::io::AsyncWrite for $type<T> {
            async fn write_all<B: annulus::buf::IoBuf>(
                &mut self,
                buffer: B,
            ) -> annulus::buf::BufResult<(), B> {
                self.write_all_owned(buffer).await
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                poll_fn(|context| self.with(|engine| engine.poll_close(context))).await
            }

            $($own)*
        }
    };
}

pub(crate) use {impl_read, impl_write};
