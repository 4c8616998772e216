//! Streams and halves under the poll traits of other crates.
//!
//! [`Polled`] has the poll forms. `reading` is its reads; its writes are those of an outbox
//! (`op::socket::outbox`). `side` says which streams and halves have which of them. `futures_io`
//! and `tokio_io` are the traits, behind features of these names.

#[cfg(feature = "futures-io")]
mod futures_io;
mod reading;
mod side;
#[cfg(feature = "tokio-io")]
mod tokio_io;

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

pub use side::{ReadSide, Side, WriteSide};

use crate::buf::CallerMemory;
use crate::op::{Outbox, StreamSocket};
use reading::Reading;

/// The default for how many unsent bytes make writers wait.
const DEFAULT_LIMIT: usize = 64 * 1024;

/// A stream or half that is read and written by polls.
///
/// It is what the I/O traits of other crates need: with the feature `tokio-io` it implements
/// Tokio's `AsyncRead`, `AsyncBufRead` and `AsyncWrite` (no runtime of Tokio is needed), and with
/// the feature `futures-io` those of that name of futures. The methods here are the same forms
/// without a trait. Where the methods of [`TcpStream`](crate::net::TcpStream) can be used, they are
/// simpler.
///
/// `S` is [`TcpStream`](crate::net::TcpStream), [`UnixStream`](crate::net::UnixStream), or a half
/// of one of them.
///
/// # Reads
///
/// Bytes are received into a runtime-owned buffer, when they have arrived: a connection that waits
/// holds none. [`poll_fill`](Self::poll_fill) lends them, and [`poll_read`](Self::poll_read) copies
/// them; bulk it receives into the caller's memory itself.
///
/// # Writes
///
/// What is written is copied and sent at the end of the turn of the event loop, in however many
/// calls it was written. 8 KiB or more are sent at once, from the caller's memory. While the peer
/// does not keep up, writes wait, so that few bytes are held; see
/// [`with_write_limit`](Self::with_write_limit). A flush does not wait until the kernel has taken
/// them, as that of a socket does not wait for the peer; [`poll_sent`](Self::poll_sent) does.
///
/// # Drop
///
/// What was written is still sent, and then the stream is dropped. The end of the runtime waits for
/// that, for at most [`Builder::flush_timeout`](crate::Builder::flush_timeout), by default a
/// second. A peer that does not read makes it wait for as long as the connection exists; two ends
/// that do so to each other keep the connection for ever. To give up a connection in the middle,
/// [`abort`](Self::abort) it and do not just drop it; over TCP,
/// [`TcpStream::set_user_timeout`](crate::net::TcpStream::set_user_timeout) limits the time.
///
/// # Errors
///
/// Those of a send come at the next write, flush or shutdown, each time.
///
/// # Cancel safety
///
/// No byte is lost, whatever is dropped or no longer polled: what a read has received and not
/// returned is what the next read returns.
///
/// # Example
///
/// ```
/// use std::future::poll_fn;
/// use annulus::net::{Polled, TcpListener, TcpStream};
///
/// annulus::run(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0").await?;
///     let mut client = Polled::new(TcpStream::connect(listener.local_addr()?).await?);
///     let mut server = Polled::new(listener.accept().await?.0);
///
///     let sent = poll_fn(|context| client.poll_write(context, b"ping")).await?;
///     assert_eq!(sent, 4);
///     let received = poll_fn(|context| server.poll_fill(context).map_ok(<[u8]>::to_vec)).await?;
///     assert_eq!(received, b"ping");
///     server.consume(received.len());
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Polled<S: Side> {
    /// `None` once it is taken out.
    stream: Option<S>,
    reading: Reading,
    /// Made by the first write.
    outbox: Option<Rc<Outbox>>,
    write_limit: usize,
}

impl<S: Side> Polled<S> {
    /// Wraps a stream or half, with a limit of 64 KiB for unsent bytes.
    pub fn new(stream: S) -> Self {
        Self::with_write_limit(stream, DEFAULT_LIMIT)
    }

    /// Wraps a stream or half; a write waits while `limit` bytes are unsent.
    ///
    /// The limit is at least one byte. It counts what has been copied: large writes, which are sent
    /// from the caller's memory, wait for the kernel.
    pub fn with_write_limit(stream: S, limit: usize) -> Self {
        let reading = Reading::default();
        Self { stream: Some(stream), reading, outbox: None, write_limit: limit }
    }

    /// Returns the stream, for its addresses and options.
    ///
    /// There is no `get_mut`: what has been received and not been read, and what has been written
    /// and not been sent, would be passed over. [`into_inner`](Self::into_inner) returns the stream
    /// with all that.
    pub fn get_ref(&self) -> &S {
        self.stream.as_ref().expect("the stream is taken out at the end only")
    }

    /// Returns the stream, once the kernel has taken all written bytes.
    ///
    /// What has been received and not been read is what the stream returns next.
    ///
    /// # Errors
    ///
    /// That of a send. The stream is dropped then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, this is dropped: written bytes are still sent.
    ///
    /// # Example
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use annulus::net::{Polled, UnixStream};
    ///
    /// annulus::run(async {
    ///     let (near, mut far) = UnixStream::pair()?;
    ///     far.write_all("head body").await.0?;
    ///     let mut near = Polled::new(near);
    ///     poll_fn(|context| near.poll_fill(context).map_ok(drop)).await?;
    ///     near.consume(5);
    ///     assert_eq!(&*near.into_inner().await?.recv().await?, b"body");
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn into_inner(mut self) -> io::Result<S> {
        if let Some(outbox) = &self.outbox {
            poll_fn(|context| outbox.poll_sent(context)).await?;
            // It waits for nothing any more.
            outbox.leave(false);
        }
        self.outbox = None;
        std::mem::take(&mut self.reading).put_back(&self.socket());
        Ok(self.stream.take().expect("the stream is taken out once"))
    }

    fn socket(&self) -> Rc<StreamSocket> {
        Rc::clone(self.get_ref().socket())
    }
}

impl<S: ReadSide> Polled<S> {
    /// Returns received bytes that have not been [consumed](Self::consume), once there are some.
    ///
    /// No bytes mean EOF.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `ConnectionReset`.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let socket = self.stream.as_ref().expect("the stream is there").socket();
        ready!(self.reading.poll_fill(socket, context))?;
        Poll::Ready(Ok(self.reading.unread()))
    }

    /// Returns the received bytes that have not been consumed, without receiving more.
    pub fn buffer(&self) -> &[u8] {
        self.reading.unread()
    }

    /// Marks bytes that [`poll_fill`](Self::poll_fill) has returned as read.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.reading.consume(count);
    }

    /// Reads available bytes, and returns how many.
    ///
    /// It reads at least one byte; zero bytes mean EOF, or that the buffer is empty. As many bytes
    /// from the start of the buffer are initialised then.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `ConnectionReset`.
    ///
    /// # Example
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::mem::MaybeUninit;
    /// use annulus::net::{Polled, UnixStream};
    ///
    /// annulus::run(async {
    ///     let (near, mut far) = UnixStream::pair()?;
    ///     far.write_all("ping").await.0?;
    ///     let mut near = Polled::new(near);
    ///     let mut buffer = [MaybeUninit::uninit(); 16];
    ///     let count = poll_fn(|context| near.poll_read(context, &mut buffer)).await?;
    ///     assert_eq!(count, 4);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_into(context, &mut buffer.into())
    }

    fn poll_read_into(
        &mut self,
        context: &mut Context<'_>,
        memory: &mut CallerMemory<'_>,
    ) -> Poll<io::Result<usize>> {
        let socket = self.stream.as_ref().expect("the stream is there").socket();
        self.reading.poll_read(socket, context, memory)
    }
}

impl<S: WriteSide> Polled<S> {
    /// Writes at least one byte of the buffer, and returns how many.
    ///
    /// Fewer than 8 KiB are copied, and sent at the end of the turn.
    ///
    /// # Errors
    ///
    /// That of an earlier send or of this one, such as `BrokenPipe` or `ConnectionReset`, and
    /// `BrokenPipe` after [`poll_shutdown`](Self::poll_shutdown). No signal is raised.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(buffer)])
    }

    /// Writes several buffers one after the other, at least one byte, and returns how many.
    ///
    /// # Errors
    ///
    /// As for [`poll_write`](Self::poll_write).
    pub fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.outbox().poll_write(context, buffers)
    }

    /// Returns the error of an earlier send, if there is one.
    ///
    /// It does not wait: written bytes are sent at the end of the turn without it.
    ///
    /// # Errors
    ///
    /// That of an earlier send.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox().poll_flush(context)
    }

    /// Waits until the kernel has taken all written bytes.
    ///
    /// # Errors
    ///
    /// That of a send.
    pub fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox().poll_sent(context)
    }

    /// Shuts down the writing direction, once the kernel has taken all written bytes.
    ///
    /// The peer reads EOF. From the first call on, nothing more can be written; if it is not polled
    /// to its end, the shutdown follows when this is dropped.
    ///
    /// # Errors
    ///
    /// That of a send.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox().poll_shutdown(context)
    }

    /// Aborts the connection in both directions, at once, without sending what is unsent.
    ///
    /// The peer sees a reset.
    pub fn abort(&mut self) {
        self.get_ref().socket().abort();
    }

    /// How many written bytes the kernel has not taken yet.
    pub fn unsent(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.held())
    }

    fn outbox(&mut self) -> &Rc<Outbox> {
        let socket = self.stream.as_ref().expect("the stream is there").socket();
        self.outbox.get_or_insert_with(|| Outbox::new(socket, self.write_limit))
    }
}

/// What is behind it is not pinned.
impl<S: Side> Unpin for Polled<S> {}

impl<S: Side> From<S> for Polled<S> {
    fn from(stream: S) -> Self {
        Self::new(stream)
    }
}

impl<S: Side> Drop for Polled<S> {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        let shuts_down = self.outbox.take().is_some_and(|outbox| outbox.leave(S::SHUTS_DOWN));
        // Behind the bytes, and not now.
        if shuts_down {
            stream.forget();
        }
    }
}

impl<S: Side + fmt::Debug> fmt::Debug for Polled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled")
            .field("stream", &self.stream)
            .field("unread", &self.reading.unread().len())
            .field("unsent", &self.outbox.as_ref().map_or(0, |outbox| outbox.held()))
            .finish()
    }
}
