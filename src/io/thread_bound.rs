//! The I/O traits of futures and Tokio for a [`ThreadBound`] connection, which is `Send`.
//!
//! On another thread they fail, where other polls panic: an error is what their callers expect.
//! Only a `consume` has no result, and panics.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::task::{ThreadBound, refusal, refuse};

/// What `operation` does with the value, or an error on another thread.
fn locally<'a, T: 'static, R>(
    bound: Pin<&'a mut ThreadBound<T>>,
    operation: impl FnOnce(Pin<&'a mut T>) -> Poll<io::Result<R>>,
) -> Poll<io::Result<R>> {
    match bound.get_pin_mut() {
        Some(value) => operation(value),
        None => Poll::Ready(Err(io::Error::other(refusal::<T>("polled")))),
    }
}

#[cfg(feature = "futures-io")]
impl<T: futures_io::AsyncRead + 'static> futures_io::AsyncRead for ThreadBound<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        locally(self, |value| value.poll_read(context, buffer))
    }
}

#[cfg(feature = "futures-io")]
impl<T: futures_io::AsyncBufRead + 'static> futures_io::AsyncBufRead for ThreadBound<T> {
    fn poll_fill_buf<'a>(
        self: Pin<&'a mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<&'a [u8]>> {
        locally(self, |value| value.poll_fill_buf(context))
    }

    #[track_caller]
    fn consume(self: Pin<&mut Self>, count: usize) {
        match self.get_pin_mut() {
            Some(value) => value.consume(count),
            None => refuse::<T>("consumed from"),
        }
    }
}

#[cfg(feature = "futures-io")]
impl<T: futures_io::AsyncWrite + 'static> futures_io::AsyncWrite for ThreadBound<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        locally(self, |value| value.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        locally(self, |value| value.poll_write_vectored(context, slices))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        locally(self, |value| value.poll_flush(context))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        locally(self, |value| value.poll_close(context))
    }
}

#[cfg(feature = "tokio-io")]
impl<T: tokio::io::AsyncRead + 'static> tokio::io::AsyncRead for ThreadBound<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        locally(self, |value| value.poll_read(context, buffer))
    }
}

#[cfg(feature = "tokio-io")]
impl<T: tokio::io::AsyncBufRead + 'static> tokio::io::AsyncBufRead for ThreadBound<T> {
    fn poll_fill_buf<'a>(
        self: Pin<&'a mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<&'a [u8]>> {
        locally(self, |value| value.poll_fill_buf(context))
    }

    #[track_caller]
    fn consume(self: Pin<&mut Self>, count: usize) {
        match self.get_pin_mut() {
            Some(value) => value.consume(count),
            None => refuse::<T>("consumed from"),
        }
    }
}

#[cfg(feature = "tokio-io")]
impl<T: tokio::io::AsyncWrite + 'static> tokio::io::AsyncWrite for ThreadBound<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        locally(self, |value| value.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        locally(self, |value| value.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.get().is_some_and(T::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        locally(self, |value| value.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        locally(self, |value| value.poll_shutdown(context))
    }
}
