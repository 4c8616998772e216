//! The two halves of a stream, for two tasks of one thread.

use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::{error, fmt, io, mem};

use super::ops;
use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::net::tcp::{TcpStream, expect_fd};
use crate::op::StreamSocket;

/// The reading half of a [`TcpStream`], made by [`TcpStream::into_split`].
///
/// Its methods are those of the stream, with the same guarantees.
pub struct OwnedReadHalf {
    socket: Rc<StreamSocket>,
}

impl OwnedReadHalf {
    pub(in crate::net) fn new(socket: Rc<StreamSocket>) -> Self {
        Self { socket }
    }

    pub(in crate::net) fn socket(&self) -> &Rc<StreamSocket> {
        &self.socket
    }

    /// See [`TcpStream::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv(&mut self) -> impl Future<Output = io::Result<Lease>> {
        ops::recv(&self.socket)
    }

    /// See [`TcpStream::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        ops::read(&self.socket, buffer)
    }

    /// See [`TcpStream::read_exact`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read_exact<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<(), B>> {
        ops::read_exact(&self.socket, buffer)
    }

    /// See [`TcpStream::peek`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn peek<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        ops::peek(&self.socket, buffer)
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection was reset before its address was known. It is known of an accepted
    /// connection, and once this has returned it.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Makes the stream whole again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both halves, if they are of different streams.
    pub fn reunite(self, write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if Rc::ptr_eq(&self.socket, &write.socket) {
            write.forget();
            Ok(TcpStream::from_socket(self.socket))
        } else {
            Err(ReuniteError { read: self, write })
        }
    }
}

impl AsFd for OwnedReadHalf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        expect_fd(&self.socket).as_fd()
    }
}

impl AsRawFd for OwnedReadHalf {
    fn as_raw_fd(&self) -> RawFd {
        expect_fd(&self.socket).as_raw_fd()
    }
}

impl fmt::Debug for OwnedReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadHalf")
            .field("peer", &self.socket.known_addresses::<SocketAddr>().1)
            .finish()
    }
}

/// The writing half of a [`TcpStream`], made by [`TcpStream::into_split`].
///
/// Its methods are those of the stream, with the same guarantees. Dropping it shuts down writing,
/// so that the peer reads to the end; [`forget`](Self::forget) does not.
pub struct OwnedWriteHalf {
    socket: Rc<StreamSocket>,
    shuts_down: bool,
}

impl OwnedWriteHalf {
    pub(in crate::net) fn new(socket: Rc<StreamSocket>) -> Self {
        Self { socket, shuts_down: true }
    }

    pub(in crate::net) fn socket(&self) -> &Rc<StreamSocket> {
        &self.socket
    }

    /// See [`TcpStream::write`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn write<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        ops::write(&self.socket, buffer)
    }

    /// See [`TcpStream::write_all`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn write_all<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<(), B>> {
        ops::write_all(&self.socket, buffer)
    }

    /// See [`TcpStream::write_all_zero_copy`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn write_all_zero_copy<B: IoBuf>(
        &mut self,
        buffer: B,
    ) -> impl Future<Output = io::Result<()>> {
        ops::write_all_zero_copy(&self.socket, buffer)
    }

    /// See [`TcpStream::write_vectored`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn write_vectored<B: IoBuf>(
        &mut self,
        buffers: Vec<B>,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> {
        ops::write_vectored(&self.socket, buffers)
    }

    /// See [`TcpStream::write_all_vectored`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn write_all_vectored<B: IoBuf>(
        &mut self,
        buffers: Vec<B>,
    ) -> impl Future<Output = BufResult<(), Vec<B>>> {
        ops::write_all_vectored(&self.socket, buffers)
    }

    /// Ends writing, so that the peer reads to the end. Waits for dropped writes to end.
    ///
    /// # Errors
    ///
    /// If the connection is gone already.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        ops::shutdown(&self.socket, Shutdown::Write).await
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection was reset before its address was known. It is known of an accepted
    /// connection, and once this has returned it.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Ends both directions.
    pub(in crate::net) fn close_both(&mut self) {
        if mem::take(&mut self.shuts_down) {
            self.socket.end_both();
        }
    }

    /// Breaks the connection.
    pub(in crate::net) fn abort(&mut self) {
        self.shuts_down = false;
        self.socket.abort();
    }

    /// Drops this half without shutting down writing.
    pub fn forget(mut self) {
        self.shuts_down = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if mem::take(&mut self.shuts_down) {
            self.socket.end(Shutdown::Write);
        }
    }
}

impl AsFd for OwnedWriteHalf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        expect_fd(&self.socket).as_fd()
    }
}

impl AsRawFd for OwnedWriteHalf {
    fn as_raw_fd(&self) -> RawFd {
        expect_fd(&self.socket).as_raw_fd()
    }
}

impl fmt::Debug for OwnedWriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf")
            .field("peer", &self.socket.known_addresses::<SocketAddr>().1)
            .finish()
    }
}

/// Two halves that are not of one stream; they are given back.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReuniteError {
    /// The reading half.
    pub read: OwnedReadHalf,
    /// The writing half.
    pub write: OwnedWriteHalf,
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are of different streams")
    }
}

impl error::Error for ReuniteError {}
