//! A connection between two runtimes.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;

use super::{Connection, ops};
use crate::error::Describe;
use crate::net::tcp::TcpStream;
use crate::net::unix::UnixStream;
use crate::op::{SocketParts, StreamSocket};
use crate::runtime::context;
use crate::sys::socket::peer_address;

/// A TCP connection between two runtimes.
pub type TcpParts = StreamParts<TcpStream>;

/// A connection of a Unix socket between two runtimes.
pub type UnixParts = StreamParts<UnixStream>;

/// A connection between two runtimes: it has left one and may enter another.
///
/// Made by [`TcpStream::into_parts`] and [`UnixStream::into_parts`]. It is `Send`, so it may cross
/// to another thread, where [`TcpStream::from_parts`] makes a stream of it. With the descriptor go
/// the bytes that were received and not read, an error or EOF behind them, the reason why the
/// connection has broken, and the peer's address. Socket options belong to the descriptor.
///
/// Dropped, the connection is closed, and this thread does not wait for that, even if the
/// connection [lingers](TcpStream::set_linger): the kernel sends the rest afterwards.
#[must_use = "a connection whose parts are dropped is closed"]
pub struct StreamParts<S: Connection = TcpStream> {
    parts: SocketParts,
    /// The stream is made of the parts. They contain none, so they are `Send`.
    stream: PhantomData<fn() -> S>,
}

impl<S: Connection> StreamParts<S> {
    /// The bytes that have been received and not been read: the next reads return them.
    ///
    /// There are some if a read was dropped, and after a reader had received more than was read.
    pub fn unread(&self) -> &[u8] {
        self.parts.unread()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection was reset before its address was known; see
    /// [`TcpStream::peer_addr`].
    pub fn peer_addr(&self) -> io::Result<S::Addr> {
        let peer = match self.parts.peer() {
            Some(peer) => peer.clone(),
            None => peer_address(self.parts.fd()).describe("getpeername")?,
        };
        S::Addr::try_from(peer)
    }
}

impl<S: Connection> AsFd for StreamParts<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.parts.fd().as_fd()
    }
}

impl<S: Connection> AsRawFd for StreamParts<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.parts.fd().as_raw_fd()
    }
}

impl<S: Connection> fmt::Debug for StreamParts<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamParts")
            .field("fd", &self.as_raw_fd())
            .field("unread", &self.unread().len())
            .field("peer", &self.peer_addr().ok())
            .finish()
    }
}

/// Takes a stream apart, once no orphan uses its socket.
pub(in crate::net) async fn into_parts<S: Connection>(
    socket: Rc<StreamSocket>,
) -> io::Result<StreamParts<S>> {
    ops::drain(&socket).await;
    Ok(StreamParts { parts: socket.into_parts()?, stream: PhantomData })
}

/// Puts a stream together in the runtime of this thread.
///
/// # Panics
///
/// If there is no runtime on this thread.
pub(in crate::net) fn from_parts<S: Connection>(parts: StreamParts<S>) -> S {
    S::from_socket(Rc::new(StreamSocket::from_parts(context::driver(), parts.parts)))
}
