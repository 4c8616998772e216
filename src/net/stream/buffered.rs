//! TCP under the buffered streams of [`io`](crate::io).

use std::any::Any;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::ops::RangeBounds;
use std::rc::{Rc, Weak};

use super::{OwnedReadHalf, OwnedWriteHalf};
use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::error::{Describe, describe};
use crate::io::{AsyncRead, AsyncWrite};
use crate::net::ToAddresses;
use crate::net::tcp::{ConnectOptions, TcpStream};
use crate::op::StreamSocket;

/// An [`io::StreamReader`](crate::io::StreamReader) of a TCP connection.
pub type StreamReader = crate::io::StreamReader<OwnedReadHalf>;

/// An [`io::StreamWriter`](crate::io::StreamWriter) of a TCP connection.
pub type StreamWriter = crate::io::StreamWriter<OwnedWriteHalf>;

/// Connects, as [`TcpStream::connect`] does, and gives a reader and a writer.
///
/// # Errors
///
/// As for [`TcpStream::connect`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, half-open connections are closed.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, open_connection};
///
/// annulus::run(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0").await?;
///     let (mut reader, mut writer) = open_connection(listener.local_addr()?).await?;
///     let (mut server_reads, mut server_writes) = listener.accept().await?.0.into_buffered();
///     writer.write("ping\n").await?;
///     let line = server_reads.read_line().await?;
///     server_writes.write(line).await?;
///     assert_eq!(&*reader.read_line().await?, b"ping\n");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.open_connection")]
pub async fn open_connection(
    addresses: impl ToAddresses,
) -> io::Result<(StreamReader, StreamWriter)> {
    open_connection_with(addresses, &ConnectOptions::new()).await
}

/// [`open_connection`] with options.
///
/// # Errors
///
/// As for [`TcpStream::connect_with`].
///
/// # Panics
///
/// If there is no runtime on this thread, or the reader's limit is zero.
pub async fn open_connection_with(
    addresses: impl ToAddresses,
    options: &ConnectOptions,
) -> io::Result<(StreamReader, StreamWriter)> {
    let options = options.clone().nodelay(options.nodelay.unwrap_or(true));
    let stream = TcpStream::connect_with(addresses, &options).await?;
    Ok(stream.into_buffered_with(options.reader_limit))
}

impl TcpStream {
    /// Makes a reader of lines and records, and a writer with a queue, that may live in two tasks of
    /// this thread.
    pub fn into_buffered(self) -> (StreamReader, StreamWriter) {
        self.into_buffered_with(None)
    }

    pub(in crate::net) fn into_buffered_with(
        self,
        reader_limit: Option<usize>,
    ) -> (StreamReader, StreamWriter) {
        let (read, write) = self.into_split();
        let mut reader = StreamReader::new(read);
        reader_limit.into_iter().for_each(|limit| reader.set_limit(limit));
        (reader, StreamWriter::new(write))
    }
}

impl StreamWriter {
    /// This end's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection has been released, and the kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection has been released, or if it was reset before its address was
    /// known; see [`TcpStream::peer_addr`].
    #[doc(alias = "asyncio.StreamWriter.get_extra_info")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.peer_addr()
    }

    /// Sends a part of a file, without a copy, after all that was written before and before all that is
    /// written afterwards. Returns how many bytes that were: fewer than asked for if the file has fewer.
    /// All of it is `..`. See [`TcpStream::send_file`].
    ///
    /// # Errors
    ///
    /// Those of the [writer](crate::io::StreamWriter#errors); `InvalidInput` for a directory; and those
    /// of reading the file. As they may come in the middle, those leave the writer failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before all that was written before has been sent, nothing of the file is; dropped later,
    /// all of it is sent, in the background.
    ///
    /// # Example
    ///
    /// ```
    /// use std::fs::File;
    /// use annulus::net::{StreamReader, StreamWriter, open_connection, start_server};
    ///
    /// async fn page(_: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    ///     writer.write("HTTP/1.0 200 OK\r\n\r\n").await?;
    ///     writer.send_file(&File::open("README.md")?, ..9).await?;
    ///     writer.write("\n").await
    /// }
    ///
    /// annulus::run(async {
    ///     let server = start_server(page, "127.0.0.1:0").await?;
    ///     let (mut reader, _writer) = open_connection(server.local_addrs()[0]).await?;
    ///     reader.read_until("\r\n\r\n").await?;
    ///     assert_eq!(&*reader.read_to_end().await?, b"# Annulus\n");
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "asyncio.loop.sendfile")]
    pub async fn send_file(
        &mut self,
        file: &File,
        range: impl RangeBounds<u64>,
    ) -> io::Result<u64> {
        if file.metadata().describe("fstat")?.is_dir() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is a directory");
            return Err(describe("send a file", error));
        }
        let file = file.try_clone().describe("duplicate the file")?;
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let sent = Rc::new(Cell::new(0));
        let its = Rc::clone(&sent);
        self.run(move |half| {
            Box::pin(async move {
                its.set(half.send_file(&file, range).await?);
                Ok(())
            })
        })
        .await?;
        Ok(sent.get())
    }

    /// The socket, until it is released.
    pub(in crate::net) fn socket(&self) -> io::Result<Rc<StreamSocket>> {
        let socket = self.connection().and_then(|connection| connection.downcast().ok());
        let released = "the writer has released its connection";
        socket.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, released))
    }
}

impl AsyncRead for TcpStream {
    async fn recv(&mut self) -> io::Result<Lease> {
        if self.socket().is_over() {
            return Ok(Lease::default());
        }
        let received = Self::recv(self).await;
        unless_over(self.socket(), received)
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        if self.socket().is_over() {
            return BufResult(Ok(0), buffer);
        }
        let BufResult(read, buffer) = Self::read(self, buffer).await;
        BufResult(unless_over(self.socket(), read), buffer)
    }
}

impl AsyncWrite for TcpStream {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        Self::write_all(self, buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write).await
    }

    fn abort(&mut self) {
        self.socket().abort();
    }

    fn connection(&self) -> Option<Weak<dyn Any>> {
        Some(Rc::downgrade(self.socket()) as Weak<dyn Any>)
    }
}

impl AsyncRead for OwnedReadHalf {
    async fn recv(&mut self) -> io::Result<Lease> {
        if self.socket().is_over() {
            return Ok(Lease::default());
        }
        let received = Self::recv(self).await;
        unless_over(self.socket(), received)
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        if self.socket().is_over() {
            return BufResult(Ok(0), buffer);
        }
        let BufResult(read, buffer) = Self::read(self, buffer).await;
        BufResult(unless_over(self.socket(), read), buffer)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        Self::write_all(self, buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self).await
    }

    fn abort(&mut self) {
        Self::abort(self);
    }

    fn close(&mut self) {
        self.close_both();
    }

    fn connection(&self) -> Option<Weak<dyn Any>> {
        Some(Rc::downgrade(self.socket()) as Weak<dyn Any>)
    }
}

/// What this end has closed or aborted comes to its end, and does not fail.
fn unless_over<T: Default>(socket: &StreamSocket, read: io::Result<T>) -> io::Result<T> {
    match read {
        Err(_) if socket.is_over() => Ok(T::default()),
        read => read,
    }
}
