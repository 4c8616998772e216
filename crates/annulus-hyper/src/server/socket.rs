//! The stream of a connection, as hyper sees it.
//!
//! It notes what its [`State`] must know: whether bytes of a next request have arrived, and whether
//! what is written makes progress. It also returns the bytes again that were read to find out the
//! version of HTTP.
//!
//! hyper demands that a connection that may be upgraded is `Send`, so what it has is bound to its
//! thread.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use annulus::task::ThreadBound;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite};

use super::state::State;
use super::version::{PREFACE, Version};
use crate::rt::Io;

/// The stream of a connection.
pub(super) struct Socket<T: 'static>(ThreadBound<Bound<T>>);

/// What a [`Socket`] has.
struct Bound<T> {
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
        let io = Io::new(io);
        let preface = [0; PREFACE.len()];
        Self(ThreadBound::new(Bound { io, state, preface, filled: 0, returned: 0 }))
    }

    fn bound(&mut self) -> io::Result<&mut Bound<T>> {
        self.0.get_mut().ok_or_else(|| {
            let text = "an upgraded connection is used on a thread that is not that of its server; \
                        spawn its task there";
            io::Error::other(text)
        })
    }
}

impl<T> Bound<T> {
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
        let its = self.bound()?;
        loop {
            let known = &its.preface[..its.filled];
            if *known != PREFACE[..its.filled] {
                return Poll::Ready(Ok(Version::Http1));
            }
            if its.filled == PREFACE.len() {
                return Poll::Ready(Ok(Version::Http2));
            }
            let mut buf = ReadBuf::new(&mut its.preface[its.filled..]);
            ready!(Pin::new(&mut its.io).poll_read(context, buf.unfilled()))?;
            let read = buf.filled().len();
            if read == 0 {
                // EOF, which ends a connection of HTTP/1 in order if nothing has arrived.
                return Poll::Ready(Ok(Version::Http1));
            }
            its.state.note_received();
            its.filled += read;
        }
    }
}

impl<T> Drop for Bound<T> {
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
        let its = self.bound()?;
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
        let its = self.bound()?;
        let written = Pin::new(&mut its.io).poll_write(context, buf);
        its.note_write(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let its = self.bound()?;
        let written = Pin::new(&mut its.io).poll_write_vectored(context, bufs);
        its.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.0.get().is_some_and(|its| its.io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let its = self.bound()?;
        // hyper flushes at each poll, so this is no sign of work.
        let flushed = Pin::new(&mut its.io).poll_flush(context);
        its.state.set_blocked(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let its = self.bound()?;
        let shut_down = Pin::new(&mut its.io).poll_shutdown(context);
        its.state.set_blocked(shut_down.is_pending());
        shut_down
    }
}
