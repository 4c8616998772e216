//! TCP under the buffered streams of [`io`](crate::io).

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use super::{ConnectOptions, OwnedReadHalf, OwnedWriteHalf, TcpStream};
use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::io::{Read, Write};
use crate::net::ToAddresses;
use crate::op::Socket;
use crate::sys::socket::set_linger;

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
    open_connection_with(addresses, &ConnectOptions::default()).await
}

/// [`open_connection`] with options.
///
/// # Errors
///
/// As for [`TcpStream::connect_with`].
///
/// # Panics
///
/// If there is no runtime on this thread.
pub async fn open_connection_with(
    addresses: impl ToAddresses,
    options: &ConnectOptions,
) -> io::Result<(StreamReader, StreamWriter)> {
    Ok(TcpStream::connect_with(addresses, options).await?.into_buffered())
}

impl TcpStream {
    /// Makes a reader of lines and records, and a writer with a queue, that may live in two tasks of
    /// this thread.
    pub fn into_buffered(self) -> (StreamReader, StreamWriter) {
        let (read, write) = self.into_split();
        (StreamReader::new(read), StreamWriter::new(write))
    }
}

impl Read for TcpStream {
    async fn recv(&mut self) -> io::Result<Lease> {
        Self::recv(self).await
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        Self::read(self, buffer).await
    }
}

impl Write for TcpStream {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        Self::write_all(self, buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write).await
    }

    fn abort(&mut self) {
        abort(self.socket());
    }
}

impl Read for OwnedReadHalf {
    async fn recv(&mut self) -> io::Result<Lease> {
        Self::recv(self).await
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        Self::read(self, buffer).await
    }
}

impl Write for OwnedWriteHalf {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        Self::write_all(self, buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self).await
    }

    fn abort(&mut self) {
        abort(self.socket());
    }
}

/// Ends both directions, so that whoever waits on them comes to an end. The close then resets the
/// connection.
pub(super) fn abort(socket: &Socket) {
    // Both fail only if the connection is gone already, or if there is no descriptor for the calls.
    let _ = socket.fd().and_then(|fd| set_linger(fd, Some(Duration::ZERO)));
    let _ = socket.shutdown(Shutdown::Both);
}
