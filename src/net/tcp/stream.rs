//! A TCP connection.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use super::{ConnectOptions, connect};
use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::driver::Driver;
use crate::net::ToAddresses;
use crate::net::stream::{OwnedReadHalf, OwnedWriteHalf, ops};
use crate::op::{Descriptor, StreamSocket};
use crate::runtime::context;
use crate::sys::socket;

/// A TCP connection, on the thread of its runtime.
///
/// Reads and writes take a buffer and give it back with the result; see [`crate::buf`]. Dropped
/// futures lose no bytes; see [`crate::net`]. The connection is closed when the stream, its halves,
/// and the operations that were dropped in flight are gone.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, TcpStream};
///
/// annulus::run(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let client = annulus::spawn(async move {
///         let mut stream = TcpStream::connect(address).await?;
///         stream.write_all("ping").await.0?;
///         stream.read_exact(Box::new([0; 4])).await.into_result()
///     });
///     let (mut stream, _) = listener.accept().await?;
///     let (count, buffer) = stream.read(Vec::with_capacity(64)).await.into_result()?;
///     assert_eq!(count, 4);
///     stream.write_all(buffer).await.0?;
///     let ((), reply) = client.await??;
///     assert_eq!(&*reply, b"ping");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TcpStream {
    socket: Rc<StreamSocket>,
}

impl TcpStream {
    pub(in crate::net) fn from_socket(socket: Rc<StreamSocket>) -> Self {
        Self { socket }
    }

    pub(in crate::net) fn new(
        driver: Rc<Driver>,
        descriptor: impl Into<Descriptor>,
        lingers: bool,
    ) -> Self {
        let socket = StreamSocket::new(driver, descriptor);
        socket.set_lingers(lingers);
        Self { socket: Rc::new(socket) }
    }

    pub(in crate::net) fn socket(&self) -> &Rc<StreamSocket> {
        &self.socket
    }

    /// Connects to an address, or to the first of several that answers: they race, see
    /// [`ConnectOptions::happy_eyeballs_delay`].
    ///
    /// # Errors
    ///
    /// If the name cannot be looked up. If no address answers, the error tells of all, and is of the
    /// kind of the first.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, half-open connections are closed.
    pub async fn connect(addresses: impl ToAddresses) -> io::Result<Self> {
        Self::connect_with(addresses, &ConnectOptions::new()).await
    }

    /// [`connect`](Self::connect), giving each address no more than `timeout` to answer; see
    /// [`ConnectOptions::timeout`]. It does not bound the look-up of a name;
    /// [`timeout`](crate::time::timeout) around the whole does.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect), and `TimedOut`.
    pub async fn connect_timeout(
        addresses: impl ToAddresses,
        timeout: Duration,
    ) -> io::Result<Self> {
        let options = ConnectOptions::new().timeout(timeout);
        Self::connect_with(addresses, &options).await
    }

    /// [`connect`](Self::connect) with options.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect); `TimedOut` with a timeout; and with a local address, that it is
    /// not available.
    pub async fn connect_with(
        addresses: impl ToAddresses,
        options: &ConnectOptions,
    ) -> io::Result<Self> {
        connect::connect(addresses, options).await.map(Self::from_socket)
    }

    /// Takes over a connection of the standard library's.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn from_std(stream: std::net::TcpStream) -> Self {
        let fd = OwnedFd::from(stream);
        let lingers = socket::lingers(&fd);
        Self::new(context::driver(), fd, lingers)
    }

    /// Gives the connection to the standard library, and with it what dropped reads had received and
    /// nobody has read. The connection is a blocking one.
    ///
    /// Waits for dropped operations to end.
    ///
    /// # Errors
    ///
    /// If there is no descriptor to be had: for a direct descriptor, or where operations that were forgotten
    /// still use the one there is. The connection is closed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn into_std(self) -> io::Result<IntoStd> {
        ops::settled(&self.socket).await;
        let (unread, error) = self.socket.drain_unread();
        let stream = std::net::TcpStream::from(self.socket.into_fd()?);
        stream.set_nonblocking(false)?;
        Ok(IntoStd { stream, unread, error })
    }

    /// Receives what is there into a buffer of the runtime's, and lends it out; no bytes mean the end
    /// of the stream.
    ///
    /// The buffer is picked when bytes have arrived, so a connection that waits holds none: a server
    /// with many connections needs little memory, and what it needs stays in the cache. See [`Lease`],
    /// and [`Builder::large_buffers`](crate::Builder::large_buffers) and
    /// [`Builder::small_buffers`](crate::Builder::small_buffers) for how many there are. While all are
    /// lent out the bytes come in memory of their own.
    ///
    /// How it receives adapts to the connection. One that brings little at a time, again and again,
    /// receives by itself (by a multishot entry, Linux 6.0): then a few messages may have been received
    /// before anyone asks. Reads into memory of one's own end that, at the cost of a cancel once; on one
    /// connection, better use either those or this. And a connection that is to be given to somebody else
    /// leaves by [`into_std`](Self::into_std), not by a copy of its descriptor.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `ConnectionReset`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: what had arrived is what the next read returns.
    ///
    /// # Example
    ///
    /// ```
    /// # use annulus::net::{TcpListener, TcpStream};
    /// # annulus::run(async {
    /// # let mut listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (mut stream, _) = listener.accept().await?;
    /// peer.write_all("hello").await.0?;
    /// let lease = stream.recv().await?;
    /// assert_eq!(&*lease, b"hello");
    /// # std::io::Result::Ok(())
    /// # })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv(&mut self) -> impl Future<Output = io::Result<Lease>> {
        ops::recv(&self.socket)
    }

    /// Reads what is there: at least one byte, at most the buffer's capacity; zero bytes at the
    /// end of the stream, or if the buffer has no capacity.
    ///
    /// # Errors
    ///
    /// The kernel's, such as a connection reset by the peer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no byte is lost: what had arrived is what the next read returns. The buffer is.
    #[doc(alias = "recv")]
    pub fn read<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        ops::read(&self.socket, buffer)
    }

    /// Reads until the buffer's capacity is full, which may be more than it was made with: for exactly `n`
    /// bytes pass `buffer.slice(..n)` ([`IoBuf::slice`]).
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends before; the buffer then holds what came until there.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no byte is lost: all that had been read is what the next read returns.
    #[doc(alias = "asyncio.StreamReader.readexactly")]
    pub fn read_exact<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<(), B>> {
        ops::read_exact(&self.socket, buffer)
    }

    /// Copies what is there, as [`read`](Self::read) would, and leaves it to be read.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub fn peek<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        ops::peek(&self.socket, buffer)
    }

    /// Writes as much of the buffer as the socket takes, at least one byte. The rest is
    /// `buffer.slice(count..)`, see [`IoBuf::slice`]; [`write_all`](Self::write_all) sends it, too.
    ///
    /// # Errors
    ///
    /// The kernel's, such as a broken pipe. No signal is raised.
    ///
    /// # Cancel safety
    ///
    /// Dropped, an unknown part has been written; the next write waits for its end.
    #[doc(alias = "send")]
    pub fn write<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        ops::write(&self.socket, buffer)
    }

    /// Writes all of the buffer.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write); a part may have been written.
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](Self::write).
    pub fn write_all<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<(), B>> {
        ops::write_all(&self.socket, buffer)
    }

    /// [`write_all`](Self::write_all) by which the kernel sends from the buffer itself, without a copy. For
    /// large buffers to other machines, on network devices that can.
    ///
    /// It is over when the socket has taken all, as with `write_all`; but the kernel needs the buffer until
    /// the peer has acknowledged it, so it is not given back: it is dropped when the kernel has let go of
    /// it. What is shared, such as `Bytes`, can be sent again at once.
    ///
    /// It is `write_all` below 32 KiB, before Linux 6.2, and on a connection on which the kernel has said
    /// that it had to copy (on the loopback interface it always has). So it is in a runtime with a
    /// [`sqpoll`](crate::Builder::sqpoll): a process that has one could not end, nor be
    /// killed, while a peer does not take what was sent so.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](Self::write): what comes after a dropped one does not wait for the peer, which can
    /// only keep the buffer. The end of a runtime waits for the kernel to let go of the buffer, within
    /// [`Builder::teardown_timeout`](crate::Builder::teardown_timeout); then it is leaked.
    ///
    /// # Example
    ///
    /// ```
    /// use bytes::Bytes;
    /// # use annulus::net::{TcpListener, TcpStream};
    /// # annulus::run(async {
    /// # let mut listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (mut stream, _) = listener.accept().await?;
    /// # let reading = annulus::spawn(async move { peer.read_exact(vec![0; 1 << 21]).await.0 });
    /// let page = Bytes::from(vec![7; 1 << 20]);
    /// stream.write_all_zero_copy(page.clone()).await?;
    /// stream.write_all_zero_copy(page).await?;
    /// # reading.await?
    /// # })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_all_zero_copy<B: IoBuf>(
        &mut self,
        buffer: B,
    ) -> impl Future<Output = io::Result<()>> {
        ops::write_all_zero_copy(&self.socket, buffer)
    }

    /// Writes several buffers one after the other, as much as the socket takes at once: of more than 1024,
    /// no more than the first 1024 that are not empty. [`write_all_vectored`](Self::write_all_vectored) sends
    /// the rest, too.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](Self::write).
    #[doc(alias = "writev")]
    pub fn write_vectored<B: IoBuf>(
        &mut self,
        buffers: Vec<B>,
    ) -> impl Future<Output = BufResult<usize, Vec<B>>> {
        ops::write_vectored(&self.socket, buffers)
    }

    /// Writes all of several buffers, one after the other, as if they were one.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write); a part may have been written.
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Example
    ///
    /// ```
    /// # use annulus::net::{TcpListener, TcpStream};
    /// # annulus::run(async {
    /// # let mut listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (mut stream, _) = listener.accept().await?;
    /// let (head, body) = ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "hello");
    /// stream.write_all_vectored(vec![head, body]).await.0?;
    /// # let ((), received) =
    /// #     peer.read_exact(vec![0; head.len() + 5]).await.into_result()?;
    /// # assert_eq!(received, [head, body].concat().as_bytes());
    /// # std::io::Result::Ok(())
    /// # })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_all_vectored<B: IoBuf>(
        &mut self,
        buffers: Vec<B>,
    ) -> impl Future<Output = BufResult<(), Vec<B>>> {
        ops::write_all_vectored(&self.socket, buffers)
    }

    /// Ends one direction or both. Shutting down writing lets the peer read to the end. Waits for
    /// dropped writes to end.
    ///
    /// # Errors
    ///
    /// If the connection is gone already.
    #[doc(alias = "asyncio.StreamWriter.write_eof")]
    pub async fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        ops::shutdown(&self.socket, how).await
    }

    /// Makes two halves that may live in two tasks of this thread.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let socket = self.socket;
        (OwnedReadHalf::new(Rc::clone(&socket)), OwnedWriteHalf::new(socket))
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
}

/// A connection that has left its runtime; made by [`TcpStream::into_std`].
#[derive(Debug)]
#[non_exhaustive]
pub struct IntoStd {
    /// The connection, a blocking one.
    pub stream: std::net::TcpStream,
    /// What dropped reads had received: it comes before what the stream will read.
    pub unread: Vec<u8>,
    /// An error that a dropped read met behind those bytes. The kernel does not report it again: the
    /// stream will look as if its peer had ended it.
    pub error: Option<io::Error>,
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        expect_fd(&self.socket).as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        expect_fd(&self.socket).as_raw_fd()
    }
}

/// The traits' methods have no way to say that there is none.
pub(in crate::net) fn expect_fd(socket: &StreamSocket) -> &OwnedFd {
    socket.fd().unwrap_or_else(|error| panic!("{error}"))
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Printing has no effect: a direct descriptor is not given one of the process for it.
        let (local, peer) = self.socket.known_addresses::<SocketAddr>();
        f.debug_struct("TcpStream")
            .field("fd", &self.socket.descriptor().fd_if_open().map(AsRawFd::as_raw_fd))
            .field("local", &local)
            .field("peer", &peer)
            .finish()
    }
}
