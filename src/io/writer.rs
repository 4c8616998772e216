//! Writing through a queue that is sent in the background.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};

use futures_util::future::LocalBoxFuture;

use super::AsyncWrite;
use super::goal::Goal;
use super::write_queue::{CloseMode, ConnectionGuard, WriteQueue};
use crate::runtime::spawn;
use crate::runtime::unsent::UnsentWrites;
use crate::task::{JoinHandle, budget};

/// How many unsent bytes make writers wait, if nobody says otherwise.
const HIGH: usize = 64 * 1024;

/// Writes to a connection through a queue, which a task of its own sends.
///
/// What is written in one turn of the loop goes out at once, however many pieces it came in. While the
/// peer does not keep up, [`write`](Self::write) and [`drain`](Self::drain) wait, so that the queue stays
/// bounded; see [`with_limit`](Self::with_limit).
///
/// Dropped, it ends writing once what is queued has been sent, in the background; a reader of the same
/// connection goes on. The end of the runtime waits until what was written before has been sent, for
/// [`Builder::flush_limit`](crate::Builder::flush_limit), by default a second. To be sure that all was
/// sent, [`flush`](Self::flush) or [`wait_closed`](Self::wait_closed).
///
/// # Errors
///
/// Once bytes that were written are lost, or may be, every method says so each time: with the
/// connection's error if it failed, with `ConnectionAborted` after [`abort`](Self::abort), and with
/// `BrokenPipe` if the runtime has ended or what is written to has panicked. Nothing is taken any more
/// then. The errors keep their kind, [number](crate::raw_os_error) and text.
///
/// # Cancel safety
///
/// No method loses or repeats a byte when it is dropped: a write has queued either all of its bytes or
/// none, and what is queued is sent once, in order.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, open_connection};
///
/// annulus::run(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let server = annulus::spawn(async move {
///         let (mut stream, _) = listener.accept().await?;
///         stream.read_exact(vec![0; 12].into_boxed_slice()).await.into_result()
///     });
///     let (_reader, mut writer) = open_connection(address).await?;
///     writer.write("hello, ").await?;
///     writer.write("world").await?;
///     writer.close();
///     writer.wait_closed().await?;
///     let ((), greeting) = server.await??;
///     assert_eq!(&*greeting, b"hello, world");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.StreamWriter")]
pub struct StreamWriter<W: AsyncWrite> {
    pub(super) queue: Rc<WriteQueue<W>>,
    /// Above so many unsent bytes writers wait, until there are no more than `low`.
    pub(super) high: usize,
    pub(super) low: usize,
    /// What is written to, until there is something to write and so a task.
    writes_to: Option<W>,
    task: Option<JoinHandle<Option<W>>>,
    /// What is written to, for what must not wait for the task. It does not keep the connection.
    connection: Option<Weak<dyn Any>>,
    /// What is waited for by polling, if something is.
    pub(super) waiting: Option<(Goal, LocalBoxFuture<'static, ()>)>,
}

impl<W: AsyncWrite + 'static> StreamWriter<W> {
    /// A writer with the usual limit of 64 KiB.
    pub fn new(writes_to: W) -> Self {
        Self::with_limit(writes_to, HIGH)
    }

    /// A writer with a limit: a [`write`](Self::write) that would make more than `limit` bytes unsent
    /// waits until no more than a quarter of that are. So a writer holds no more than its limit, or,
    /// if a single write is larger than three quarters of that, than a quarter and this write.
    #[doc(alias = "asyncio.WriteTransport.set_write_buffer_limits")]
    pub fn with_limit(writes_to: W, limit: usize) -> Self {
        Self {
            queue: Rc::default(),
            high: limit,
            low: limit / 4,
            connection: writes_to.connection(),
            writes_to: Some(writes_to),
            task: None,
            waiting: None,
        }
    }

    /// Waits for room, and then queues a copy of all of the bytes.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors), and `NotConnected` after the end of writing.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is over, it has queued nothing.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.room_for(bytes.as_ref().len()).await?;
        self.write_nowait(bytes)
    }

    /// Queues bytes, however many there are already: whoever uses this bounds the queue by calling
    /// [`drain`](Self::drain) now and then.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "asyncio.StreamWriter.write")]
    #[track_caller]
    pub fn write_nowait(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.expect_open()?;
        let bytes = bytes.as_ref();
        if !bytes.is_empty() {
            self.start();
            // A runtime that is ending ends its new tasks at once.
            self.expect_open()?;
            self.queue.put(bytes, self.high);
        }
        Ok(())
    }

    fn expect_open(&self) -> io::Result<()> {
        if self.queue.is_open() {
            return Ok(());
        }
        self.queue.failure()?;
        Err(io::Error::new(io::ErrorKind::NotConnected, "writing has been ended"))
    }

    /// [`write`](Self::write) of several pieces, one after the other.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there: all pieces have been queued, or none.
    #[doc(alias = "asyncio.StreamWriter.writelines")]
    pub async fn write_lines<T: AsRef<[u8]>>(
        &mut self,
        lines: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        // How much they are is not known before they are taken.
        self.drain().await?;
        lines.into_iter().try_for_each(|line| self.write_nowait(line))
    }

    /// If too much is unsent, waits until there is room again.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors).
    #[doc(alias = "asyncio.StreamWriter.drain")]
    pub async fn drain(&mut self) -> io::Result<()> {
        self.room_for(0).await
    }

    /// Waits until so many bytes may be queued.
    pub(super) async fn room_for(&mut self, more: usize) -> io::Result<()> {
        poll_fn(|context| budget::poll_spend(context)).await;
        self.reached(Goal::Room(more)).await;
        self.queue.failure()
    }

    /// Waits until the kernel has taken all that has been written.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors).
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| budget::poll_spend(context)).await;
        self.reached(Goal::Sent).await;
        self.queue.failure()
    }

    /// Ends writing once all that is queued has been sent: the peer reads to the end, and may still
    /// write.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "asyncio.StreamWriter.write_eof")]
    #[track_caller]
    pub fn write_eof(&mut self) {
        self.queue.finish(CloseMode::Eof);
        self.start();
    }

    /// Ends the connection in both directions once all that is queued has been sent: a reader of it
    /// comes to its end then, also if the peer does not. To go on reading,
    /// [`write_eof`](Self::write_eof) or drop the writer.
    #[doc(alias = "asyncio.StreamWriter.close")]
    pub fn close(&mut self) {
        self.queue.finish(CloseMode::Closed);
        self.end_unused();
    }

    /// Waits until the writer has released the connection, after a [`close`](Self::close), an
    /// [`abort`](Self::abort) or a failure. Before one of those it waits until the connection fails.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors), but for its own abort.
    #[doc(alias = "asyncio.StreamWriter.wait_closed")]
    pub async fn wait_closed(&mut self) -> io::Result<()> {
        poll_fn(|context| budget::poll_spend(context)).await;
        self.reached(Goal::Closed).await;
        self.queue.failure_to_close()
    }

    /// Breaks the connection in both directions, at once: what is queued is not sent. The peer finds
    /// the connection reset; a reader of it here comes to its end.
    #[doc(alias = "asyncio.WriteTransport.abort")]
    pub fn abort(&mut self) {
        self.queue.finish(CloseMode::Aborted);
        self.end_unused();
        if let Some(task) = &self.task {
            task.cancel();
        }
    }

    /// Whether it has been closed or aborted, or the connection has failed.
    #[doc(alias = "asyncio.StreamWriter.is_closing")]
    pub fn is_closing(&self) -> bool {
        self.queue.is_closing()
    }

    /// Waits until the kernel has taken all that has been written, and gives back what is written to.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors), and `NotConnected` after the end of writing. The connection
    /// is dropped then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the writer is dropped: what is queued is still sent.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::{StreamReader, StreamWriter, TcpStream};
    ///
    /// /// Makes a stream again of a reader and a writer, and what has been received and not read.
    /// async fn stream(
    ///     reader: StreamReader,
    ///     writer: StreamWriter,
    /// ) -> std::io::Result<(TcpStream, annulus::buf::Lease)> {
    ///     let write = writer.into_inner().await?;
    ///     let (read, unread) = reader.into_parts();
    ///     Ok((read.reunite(write).expect("they are of one connection"), unread))
    /// }
    /// ```
    pub async fn into_inner(mut self) -> io::Result<W> {
        poll_fn(|context| budget::poll_spend(context)).await;
        self.expect_open()?;
        self.queue.finish(CloseMode::Handed);
        let handed = match (self.writes_to.take(), &mut self.task) {
            (Some(writes_to), _) => ConnectionGuard::new(&self.queue, writes_to).hand_out(),
            // By `&mut`: dropped, this must not cancel the task.
            (None, Some(task)) => task.await.ok().flatten(),
            (None, None) => None,
        };
        let failure = || self.queue.failure().err().unwrap_or(io::ErrorKind::BrokenPipe.into());
        handed.ok_or_else(failure)
    }

    /// How many bytes have been written and not been taken by the kernel.
    #[doc(alias = "asyncio.WriteTransport.get_write_buffer_size")]
    pub fn unsent(&self) -> usize {
        self.queue.unsent()
    }

    /// What is written to, as [`AsyncWrite::connection`] gives it, until it is released.
    pub(crate) fn connection(&self) -> Option<Rc<dyn Any>> {
        self.connection.as_ref()?.upgrade()
    }

    /// Does a job on what is written to, after all that has been written before and before all that is
    /// written afterwards. If it fails, so has the writer.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for what was written before, it has done nothing; afterwards the job
    /// goes on.
    pub(crate) async fn run(
        &mut self,
        job: impl for<'a> FnOnce(&'a mut W) -> LocalBoxFuture<'a, io::Result<()>> + 'static,
    ) -> io::Result<()> {
        self.flush().await?;
        self.start();
        self.expect_open()?;
        self.queue.put_job(Box::new(job));
        self.flush().await
    }

    /// Starts the task, unless there is one.
    #[track_caller]
    fn start(&mut self) {
        if let Some(writes_to) = self.writes_to.take() {
            // Made here: the task may be ended before it is first polled.
            let guard = ConnectionGuard::new(&self.queue, writes_to);
            self.queue.set_unsent_writes(UnsentWrites::current());
            self.task = Some(spawn(guard.send_all()));
        }
    }
}

impl<W: AsyncWrite> StreamWriter<W> {
    /// Without a task there is nothing to send.
    fn end_unused(&mut self) {
        if let Some(writes_to) = self.writes_to.take() {
            ConnectionGuard::new(&self.queue, writes_to).end();
        }
    }
}

// What is written to is moved only as a whole, into the task.
impl<W: AsyncWrite> Unpin for StreamWriter<W> {}

impl<W: AsyncWrite> Drop for StreamWriter<W> {
    fn drop(&mut self) {
        self.queue.finish(CloseMode::Dropped);
        self.end_unused();
    }
}

impl<W: AsyncWrite> fmt::Debug for StreamWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter")
            .field("unsent", &self.queue.unsent())
            .field("is_open", &self.queue.is_open())
            .finish_non_exhaustive()
    }
}
