//! The stream of a connection, as hyper sees it.
//!
//! It notes what its [`State`] must know: whether bytes of a next request have arrived, and whether
//! what is written makes progress. It also returns the bytes again that were read to find out the
//! version of HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite};

use super::state::State;
use super::version::{PREFACE, Version};
use crate::rt::Io;

/// The stream of a connection.
pub(super) struct Socket<T> {
    io: Io<T>,
    state: Rc<State>,
    /// What has been read of the first request.
    preface: [u8; PREFACE.len()],
    filled: usize,
    /// How much of it has been returned.
    returned: usize,
}

impl<T> Socket<T> {
    pub(super) fn new(io: T, state: Rc<State>) -> Self {
        state.set_has_socket(true);
        Self { io: Io::new(io), state, preface: [0; PREFACE.len()], filled: 0, returned: 0 }
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        self.state.set_blocked(written.is_pending());
        if written.is_ready() {
            self.state.note_activity();
        }
    }
}

impl<T: AsyncRead + Unpin> Socket<T> {
    /// Reads until it is known whether the client speaks HTTP/2, which it says first.
    pub(super) fn poll_version(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Version>> {
        loop {
            let known = &self.preface[..self.filled];
            if *known != PREFACE[..self.filled] {
                return Poll::Ready(Ok(Version::Http1));
            }
            if self.filled == PREFACE.len() {
                return Poll::Ready(Ok(Version::Http2));
            }
            let mut buf = ReadBuf::new(&mut self.preface[self.filled..]);
            ready!(Pin::new(&mut self.io).poll_read(context, buf.unfilled()))?;
            let read = buf.filled().len();
            if read == 0 {
                // EOF, which ends a connection of HTTP/1 in order if nothing has arrived.
                return Poll::Ready(Ok(Version::Http1));
            }
            self.state.note_received();
            self.filled += read;
        }
    }
}

impl<T> Drop for Socket<T> {
    fn drop(&mut self) {
        self.state.set_has_socket(false);
    }
}

impl<T: AsyncRead + Unpin> Read for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let its = &mut *self;
        if its.returned < its.filled {
            let rest = &its.preface[its.returned..its.filled];
            let part = &rest[..rest.len().min(buf.remaining())];
            buf.put_slice(part);
            its.returned += part.len();
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut its.io).poll_read(context, buf);
        if read.is_ready() {
            its.state.note_received();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> Write for Socket<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, buf);
        self.note_write(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, bufs);
        self.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at each poll, so this is no sign of work.
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.state.set_blocked(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.io).poll_shutdown(context);
        self.state.set_blocked(shut_down.is_pending());
        shut_down
    }
}
