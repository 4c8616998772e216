//! The two halves of a stream, for two tasks of one thread.

use std::marker::PhantomData;
use std::net::Shutdown;
use std::rc::Rc;
use std::{error, fmt, io, mem};

use super::io::{impl_read, impl_write};
use super::methods::{address_methods, impl_as_fd, read_methods, write_methods};
use super::{Connection, ops};
use crate::net::options::{Options, option_methods};
use crate::net::tcp::TcpStream;
use crate::op::StreamSocket;

/// The reading half of a stream, made by [`TcpStream::into_split`].
///
/// Its methods are those of the stream, with the same guarantees. `S` is the kind of stream;
/// without it, TCP is meant.
pub struct OwnedReadHalf<S: Connection = TcpStream> {
    socket: Rc<StreamSocket>,
    stream: PhantomData<S>,
}

/// The writing half of a stream, made by [`TcpStream::into_split`].
///
/// Its methods are those of the stream, with the same guarantees. Dropping it shuts down writing,
/// so that the peer reads to EOF; [`forget`](Self::forget) does not. `S` is the kind of stream;
/// without it, TCP is meant.
pub struct OwnedWriteHalf<S: Connection = TcpStream> {
    socket: Rc<StreamSocket>,
    shuts_down: bool,
    stream: PhantomData<S>,
}

/// Splits a stream.
pub(in crate::net) fn split<S: Connection>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let socket = stream.into_socket();
    let read = OwnedReadHalf { socket: Rc::clone(&socket), stream: PhantomData };
    (read, OwnedWriteHalf { socket, shuts_down: true, stream: PhantomData })
}

impl<S: Connection> OwnedReadHalf<S> {
    read_methods!();
    address_methods!(S::Addr);
    option_methods!();

    pub(in crate::net) fn options(&self) -> io::Result<Options> {
        Ok(Options::of(&self.socket))
    }

    pub(in crate::net) fn socket(&self) -> &Rc<StreamSocket> {
        &self.socket
    }

    /// Makes the stream whole again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both halves, if they are of different streams.
    pub fn reunite(self, write: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if Rc::ptr_eq(&self.socket, &write.socket) {
            write.forget();
            Ok(S::from_socket(self.socket))
        } else {
            Err(ReuniteError { read: self, write })
        }
    }
}

impl<S: Connection> OwnedWriteHalf<S> {
    write_methods!();
    address_methods!(S::Addr);
    option_methods!();

    pub(in crate::net) fn options(&self) -> io::Result<Options> {
        Ok(Options::of(&self.socket))
    }

    pub(in crate::net) fn socket(&self) -> &Rc<StreamSocket> {
        &self.socket
    }

    /// Shuts down writing, so that the peer reads to EOF.
    ///
    /// Waits until dropped writes have ended.
    ///
    /// # Errors
    ///
    /// If the connection is gone already.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for dropped writes, it has shut down nothing.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        ops::shutdown(&self.socket, Shutdown::Write).await
    }

    /// Drops this half without shutting down writing.
    pub fn forget(mut self) {
        self.shuts_down = false;
    }
}

impl<S: Connection> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if mem::take(&mut self.shuts_down) {
            self.socket.end(Shutdown::Write);
        }
    }
}

impl_read! { [S: Connection] OwnedReadHalf<S> }
impl_write! { [S: Connection] OwnedWriteHalf<S> {
    fn abort(&mut self) {
        self.shuts_down = false;
        self.socket.abort();
    }

    fn close(&mut self) {
        if mem::take(&mut self.shuts_down) {
            self.socket.end_both();
        }
    }
} }
impl_as_fd! { [S: Connection] OwnedReadHalf<S> }
impl_as_fd! { [S: Connection] OwnedWriteHalf<S> }

impl<S: Connection> fmt::Debug for OwnedReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadHalf")
            .field("peer", &self.socket.known_addresses::<S::Addr>().1)
            .finish()
    }
}

impl<S: Connection> fmt::Debug for OwnedWriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf")
            .field("peer", &self.socket.known_addresses::<S::Addr>().1)
            .finish()
    }
}

/// Two halves that are not of one stream; both are returned.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReuniteError<S: Connection = TcpStream> {
    /// The reading half.
    pub read: OwnedReadHalf<S>,
    /// The writing half.
    pub write: OwnedWriteHalf<S>,
}

impl<S: Connection> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are of different streams")
    }
}

impl<S: Connection> error::Error for ReuniteError<S> {}
