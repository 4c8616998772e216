//! Writing through a queue that a background task sends.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;

use super::AsyncWrite;
use super::connection_guard::ConnectionGuard;
use super::goal::{Goal, PolledGoal};
use super::write_queue::{CloseMode, WriteQueue};
use crate::runtime::{context, spawn};
use crate::task::{JoinHandle, coop};

/// The default for how many unsent bytes make writers wait.
const DEFAULT_LIMIT: usize = 64 * 1024;

/// Writes to a connection through a queue, which a background task sends.
///
/// All that is written in one turn of the loop is sent at once, in however many calls it was
/// written. While the peer does not keep up, [`write`](Self::write) and [`drain`](Self::drain)
/// wait, so that the queue stays bounded; see [`with_limit`](Self::with_limit).
///
/// When the writer is dropped, the background task sends what is queued and then shuts down the
/// writing direction; a reader of the same connection continues. The end of the runtime waits for
/// queued bytes, for at most [`Builder::flush_timeout`](crate::Builder::flush_timeout), by default
/// a second. To be sure that all bytes were sent, await [`flush`](Self::flush) or
/// [`wait_closed`](Self::wait_closed).
///
/// A peer that does not read makes it wait for as long as the connection exists, also after the
/// writer and the reader were dropped. Two ends that do so to each other, each with more queued
/// than the kernel takes and no reader left, keep the connection for ever. Limit the time: in a
/// [`Server`](crate::net::Server) by
/// [`ServerOptions::send_timeout`](crate::net::ServerOptions::send_timeout), over TCP by
/// [`TcpStream::set_user_timeout`](crate::net::TcpStream::set_user_timeout), elsewhere by
/// [`abort`](Self::abort) when a [`timeout`](crate::time::timeout) around
/// [`wait_closed`](Self::wait_closed) has passed. To give up a connection in the middle, `abort`
/// it and do not just drop it.
///
/// # Errors
///
/// Once written bytes are lost, or may be, every method returns an error, each time: that of the
/// connection if it failed, `ConnectionAborted` after [`abort`](Self::abort), and `BrokenPipe` if
/// the runtime has ended or the connection's writing half has panicked. The writer accepts no more
/// bytes then. The errors keep their kind, [number](crate::raw_os_error) and text.
///
/// # Cancel safety
///
/// No method loses or repeats a byte when it is dropped: a write has queued either all of its bytes
/// or none, and queued bytes are sent once, in order.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, open_connection};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
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
#[doc(alias = "BufWriter")]
pub struct StreamWriter<W: AsyncWrite> {
    queue: Rc<WriteQueue<W>>,
    /// The writing half, until the first write starts the task.
    writes_to: Option<W>,
    task: Option<JoinHandle<Option<W>>>,
    /// The connection, for calls that must not wait for the task. It does not keep the connection.
    connection: Option<Weak<dyn Any>>,
    polled_goal: PolledGoal,
}

impl<W: AsyncWrite + 'static> StreamWriter<W> {
    /// Creates a writer with the default limit of 64 KiB.
    pub fn new(writes_to: W) -> Self {
        Self::with_limit(writes_to, DEFAULT_LIMIT)
    }

    /// Creates a writer that queues at most `limit` bytes.
    ///
    /// A [`write`](Self::write) that would make more than `limit` bytes unsent waits until no more
    /// than a quarter of that are. A single write of more than three quarters of the limit may
    /// exceed it: then a quarter of the limit and this write are queued.
    #[doc(alias = "asyncio.WriteTransport.set_write_buffer_limits")]
    pub fn with_limit(writes_to: W, limit: usize) -> Self {
        Self {
            queue: Rc::new(WriteQueue::new(limit)),
            connection: writes_to.connection(),
            writes_to: Some(writes_to),
            task: None,
            polled_goal: PolledGoal::default(),
        }
    }

    /// Waits for room, and then queues a copy of all bytes.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors), and `NotConnected` if the writing direction is shut
    /// down.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has queued nothing.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.room_for(bytes.as_ref().len()).await?;
        self.write_nowait(bytes)
    }

    /// Queues a copy of all bytes without waiting, whatever the limit.
    ///
    /// Call [`drain`](Self::drain) regularly to bound the queue.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
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
            // A runtime that is ending drops new tasks at once.
            self.expect_open()?;
            self.queue.put(bytes);
        }
        Ok(())
    }

    fn expect_open(&self) -> io::Result<()> {
        if self.queue.is_open() {
            return Ok(());
        }
        self.queue.failure()?;
        Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "the writing direction of the connection is shut down",
        ))
    }

    /// Waits for room, and then queues copies of several pieces, one after another.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has queued nothing.
    #[doc(alias = "asyncio.StreamWriter.writelines")]
    pub async fn write_lines<T: AsRef<[u8]>>(
        &mut self,
        lines: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        // Their size is not known in advance.
        self.drain().await?;
        lines.into_iter().try_for_each(|line| self.write_nowait(line))
    }

    /// Waits while more bytes are unsent than the limit allows.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors).
    #[doc(alias = "asyncio.StreamWriter.drain")]
    pub async fn drain(&mut self) -> io::Result<()> {
        self.room_for(0).await
    }

    /// Waits for room for `more` bytes.
    pub(super) async fn room_for(&mut self, more: usize) -> io::Result<()> {
        poll_fn(|context| coop::poll_spend(context)).await;
        Goal::Room(more).reached(&self.queue).await;
        self.queue.failure()
    }

    /// Waits until the kernel has taken all written bytes.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors).
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| coop::poll_spend(context)).await;
        Goal::Sent.reached(&self.queue).await;
        self.queue.failure()
    }

    /// Shuts down the writing direction once all queued bytes have been sent.
    ///
    /// The peer reads EOF, and may still write.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "asyncio.StreamWriter.write_eof")]
    #[track_caller]
    pub fn write_eof(&mut self) {
        self.queue.close(CloseMode::Eof);
        self.start();
    }

    /// Closes the connection in both directions once all queued bytes have been sent.
    ///
    /// A reader at this end of the connection then reads EOF, even if the peer sends more. To
    /// continue reading, call [`write_eof`](Self::write_eof) or drop the writer instead.
    #[doc(alias = "asyncio.StreamWriter.close")]
    pub fn close(&mut self) {
        self.queue.close(CloseMode::Closed);
        self.end_unused();
    }

    /// Waits until the writer has released the connection.
    ///
    /// It does after a [`close`](Self::close), an [`abort`](Self::abort) or a failure. Before one
    /// of those, this waits until the connection fails.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors), except after an abort.
    #[doc(alias = "asyncio.StreamWriter.wait_closed")]
    pub async fn wait_closed(&mut self) -> io::Result<()> {
        poll_fn(|context| coop::poll_spend(context)).await;
        Goal::Closed.reached(&self.queue).await;
        self.queue.failure_to_close()
    }

    /// Aborts the connection in both directions, at once, without sending queued bytes.
    ///
    /// The peer sees a reset; a reader at this end of the connection reads EOF.
    #[doc(alias = "asyncio.WriteTransport.abort")]
    pub fn abort(&mut self) {
        self.queue.close(CloseMode::Aborted);
        self.end_unused();
        if let Some(task) = &self.task {
            task.cancel();
        }
    }

    /// Whether the writer was closed or aborted, or the connection has failed.
    #[doc(alias = "asyncio.StreamWriter.is_closing")]
    pub fn is_closing(&self) -> bool {
        self.queue.is_closing()
    }

    /// Returns the writing half, once the kernel has taken all written bytes.
    ///
    /// # Errors
    ///
    /// Those of the [writer](Self#errors), and `NotConnected` if the writing direction is shut
    /// down. The connection is then dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops the writer: queued bytes are still sent.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::{StreamReader, StreamWriter, TcpStream};
    ///
    /// /// Reunites a reader and a writer, and returns the bytes that have not been read, too.
    /// async fn stream(
    ///     reader: StreamReader,
    ///     writer: StreamWriter,
    /// ) -> std::io::Result<(TcpStream, annulus::buf::Lease)> {
    ///     let write = writer.into_inner().await?;
    ///     let (read, unread) = reader.into_parts();
    ///     Ok((read.reunite(write).expect("both halves are of one connection"), unread))
    /// }
    /// ```
    pub async fn into_inner(mut self) -> io::Result<W> {
        poll_fn(|context| coop::poll_spend(context)).await;
        self.expect_open()?;
        self.queue.close(CloseMode::HandedOver);
        let handed = match (self.writes_to.take(), &mut self.task) {
            (Some(writes_to), _) => ConnectionGuard::new(&self.queue, writes_to).hand_over(),
            // By `&mut`: dropped, this must not cancel the task.
            (None, Some(task)) => task.await.ok().flatten(),
            (None, None) => None,
        };
        let failure = || self.queue.failure().err().unwrap_or(io::ErrorKind::BrokenPipe.into());
        handed.ok_or_else(failure)
    }

    /// How many written bytes the kernel has not taken yet.
    #[doc(alias = "asyncio.WriteTransport.get_write_buffer_size")]
    pub fn unsent(&self) -> usize {
        self.queue.unsent()
    }

    /// The connection, as [`AsyncWrite::connection`] returns it, until it is released.
    pub(crate) fn connection(&self) -> Option<Rc<dyn Any>> {
        self.connection.as_ref()?.upgrade()
    }

    /// Runs a job on the writing half, after earlier writes and before later ones.
    ///
    /// If the job fails, so does the writer.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for earlier writes, it has done nothing; after that the job
    /// continues.
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

    /// Waits until the writer has released the connection, even after the writer is dropped.
    pub(crate) fn ending(&self) -> impl Future<Output = ()> + use<W> {
        Goal::Closed.reached(&self.queue)
    }

    /// Polls for a goal, for the writer's sink.
    pub(super) fn poll_goal(
        &mut self,
        goal: Goal,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.polled_goal.poll(goal, &self.queue, context)
    }

    /// Starts the task, unless there is one.
    #[track_caller]
    fn start(&mut self) {
        if let Some(writes_to) = self.writes_to.take() {
            // Not in the task, which may be dropped before its first poll.
            let guard = ConnectionGuard::new(&self.queue, writes_to);
            self.queue.set_unsent_writes(context::unsent_writes());
            self.task = Some(spawn(guard.send_all()));
        }
    }
}

impl<W: AsyncWrite> StreamWriter<W> {
    /// Releases the connection if there is no task, and so nothing to send.
    fn end_unused(&mut self) {
        if let Some(writes_to) = self.writes_to.take() {
            ConnectionGuard::new(&self.queue, writes_to).end();
        }
    }
}

// The writing half is never pinned here: it moves into the task.
impl<W: AsyncWrite> Unpin for StreamWriter<W> {}

impl<W: AsyncWrite> Drop for StreamWriter<W> {
    fn drop(&mut self) {
        self.queue.close(CloseMode::Dropped);
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
