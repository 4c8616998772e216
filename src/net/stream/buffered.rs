//! Streams under the buffered readers and writers of [`io`](crate::io).

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::RangeBounds;
use std::rc::Rc;

use super::{Connection, OwnedReadHalf, OwnedWriteHalf, split};
use crate::error::{Describe, describe};
use crate::net::options::{Options, option_methods};
use crate::net::tcp::TcpStream;
use crate::op::StreamSocket;

/// A buffered reader of a connection: without a parameter, of TCP.
///
/// See [`io::StreamReader`](crate::io::StreamReader).
pub type StreamReader<S = TcpStream> = crate::io::StreamReader<OwnedReadHalf<S>>;

/// A buffered writer of a connection: without a parameter, of TCP.
///
/// See [`io::StreamWriter`](crate::io::StreamWriter).
pub type StreamWriter<S = TcpStream> = crate::io::StreamWriter<OwnedWriteHalf<S>>;

/// The limits of a connection's reader and writer, where they are not the defaults.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::net) struct BufferLimits {
    pub(in crate::net) reader: Option<usize>,
    pub(in crate::net) writer: Option<usize>,
}

/// Puts a reader and a writer on a stream.
pub(in crate::net) fn buffer<S: Connection>(
    stream: S,
    limits: BufferLimits,
) -> (StreamReader<S>, StreamWriter<S>) {
    let (read, write) = split(stream);
    let mut reader = StreamReader::new(read);
    limits.reader.into_iter().for_each(|limit| reader.set_limit(limit));
    let writer = match limits.writer {
        Some(limit) => StreamWriter::with_limit(write, limit),
        None => StreamWriter::new(write),
    };
    (reader, writer)
}

/// Makes a stream of a reader and a writer again.
pub(in crate::net) async fn unbuffer<S: Connection>(
    reader: StreamReader<S>,
    writer: StreamWriter<S>,
) -> io::Result<S> {
    // A writer that has released its connection fails by itself.
    let is_other = |socket: &Rc<StreamSocket>| !Rc::ptr_eq(socket, reader.get_ref().socket());
    if writer.socket().as_ref().is_ok_and(is_other) {
        let error =
            io::Error::new(io::ErrorKind::InvalidInput, "they are of different connections");
        return Err(describe("reunite a reader and a writer", error));
    }
    let write = writer.into_inner().await?;
    let (read, unread, is_open) = reader.into_rest().await?;
    let stream = read.reunite(write).expect("both halves are of one connection");
    stream.socket().put_front(&unread, is_open);
    Ok(stream)
}

impl<S: Connection> StreamReader<S> {
    option_methods!();

    pub(in crate::net) fn options(&self) -> io::Result<Options> {
        self.get_ref().options()
    }
}

impl<S: Connection> StreamWriter<S> {
    option_methods!();

    pub(in crate::net) fn options(&self) -> io::Result<Options> {
        Ok(Options::of(&self.socket()?))
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection has been released, and the kernel's.
    pub fn local_addr(&self) -> io::Result<S::Addr> {
        self.socket()?.local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection has been released, or if it was reset before its address
    /// was known; see [`TcpStream::peer_addr`].
    #[doc(alias = "asyncio.StreamWriter.get_extra_info")]
    pub fn peer_addr(&self) -> io::Result<S::Addr> {
        self.socket()?.peer_addr()
    }

    /// Sends a range of a file, without a copy, and returns how many bytes that were.
    ///
    /// It comes after all that was written before, and before all that is written afterwards. The
    /// bytes are fewer than the range if the file has fewer. All of the file is `..`. See
    /// [`TcpStream::send_file`].
    ///
    /// # Errors
    ///
    /// Those of the [writer](crate::io::StreamWriter#errors); `InvalidInput` for a directory; and
    /// those of reading the file. As these may occur in the middle, they leave the writer failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before all that was written before has been sent, nothing of the file is; dropped
    /// later, all of it is sent, in the background.
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
        let count = Rc::clone(&sent);
        self.run(move |half| {
            Box::pin(async move {
                count.set(half.send_file(&file, range).await?);
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
