//! hyper's I/O traits over Tokio's, and the other way round.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use tokio::io::ReadBuf;

/// A stream under hyper's I/O traits.
///
/// It is for a stream that implements Tokio's traits, such as
/// [`Polled<TcpStream>`](annulus::net::Polled). Reads go into hyper's memory as it is, without
/// zeroing it, and vectored writes are passed on. Nothing is allocated.
///
/// The other way round, a stream of hyper's, such as [`Upgraded`](hyper::upgrade::Upgraded), is put
/// under Tokio's traits.
///
/// # Example
///
/// ```
/// use annulus::net::{Polled, TcpStream};
/// use annulus_hyper::Io;
///
/// fn serves_with_hyper<T: hyper::rt::Read + hyper::rt::Write + Unpin>() {}
/// serves_with_hyper::<Io<Polled<TcpStream>>>();
///
/// fn reads_with_tokio<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>() {}
/// reads_with_tokio::<Io<hyper::upgrade::Upgraded>>();
/// ```
#[derive(Debug)]
pub struct Io<T>(TokioIo<T>);

impl<T> Io<T> {
    /// Wraps a stream.
    pub fn new(stream: T) -> Self {
        Self(TokioIo::new(stream))
    }

    /// The stream.
    pub fn get_ref(&self) -> &T {
        self.0.inner()
    }

    /// The stream, to be changed.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.inner_mut()
    }

    /// Returns the stream.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: tokio::io::AsyncRead + Unpin> hyper::rt::Read for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        hyper::rt::Read::poll_read(Pin::new(&mut self.0), context, buf)
    }
}

impl<T: tokio::io::AsyncWrite + Unpin> hyper::rt::Write for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        hyper::rt::Write::poll_write(Pin::new(&mut self.0), context, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        hyper::rt::Write::poll_write_vectored(Pin::new(&mut self.0), context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        hyper::rt::Write::is_write_vectored(&self.0)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_flush(Pin::new(&mut self.0), context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        hyper::rt::Write::poll_shutdown(Pin::new(&mut self.0), context)
    }
}

impl<T: hyper::rt::Read + Unpin> tokio::io::AsyncRead for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        tokio::io::AsyncRead::poll_read(Pin::new(&mut self.0), context, buf)
    }
}

impl<T: hyper::rt::Write + Unpin> tokio::io::AsyncWrite for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.0), context, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write_vectored(Pin::new(&mut self.0), context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        tokio::io::AsyncWrite::is_write_vectored(&self.0)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.0), context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.0), context)
    }
}
