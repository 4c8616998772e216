//! Writing through a queue that is sent in the background.

use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::Write;
use super::outbox::{End, Outbox, send_all};
use crate::runtime::spawn;
use crate::task::JoinHandle;

/// How many unsent bytes make writers wait, if nobody says otherwise.
const HIGH: usize = 64 * 1024;

/// Writes to a connection through a queue, which a task of its own sends.
///
/// What is written in one turn of the loop goes out at once, however many pieces it came in. While the
/// peer does not keep up, [`write`](Self::write) and [`drain`](Self::drain) wait, so that the queue stays
/// bounded.
///
/// Dropped, it is [closed](Self::close): what is queued is still sent, in the background, as far as the
/// runtime goes on so long. To be sure, [`flush`](Self::flush) or [`wait_closed`](Self::wait_closed).
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
///         let (result, greeting) = stream.read_exact(vec![0; 12].into_boxed_slice()).await;
///         result.map(|()| greeting)
///     });
///     let (_reader, mut writer) = open_connection(address).await?;
///     writer.write("hello, ").await?;
///     writer.write("world").await?;
///     writer.close();
///     writer.wait_closed().await?;
///     assert_eq!(&*server.await??, b"hello, world");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.StreamWriter")]
pub struct StreamWriter<W: Write> {
    outbox: Rc<Outbox>,
    high: usize,
    low: usize,
    /// What is written to, until there is something to write and so a task.
    writes_to: Option<W>,
    task: Option<JoinHandle<()>>,
    /// What is waited for by polling, if something is.
    waiting: Option<(Goal, LocalBoxFuture<'static, ()>)>,
}

/// What a writer can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// That writers need not wait.
    Room,
    /// That the kernel has taken all.
    Sent,
    /// That the connection has been let go of.
    Closed,
}

impl<W: Write + 'static> StreamWriter<W> {
    /// A writer with the usual limit: writers wait while more than 64 KiB are unsent.
    pub fn new(writes_to: W) -> Self {
        Self::with_limit(writes_to, HIGH)
    }

    /// A writer that lets others wait while more than `limit` bytes are unsent, until no more than a
    /// quarter of that are.
    #[doc(alias = "asyncio.WriteTransport.set_write_buffer_limits")]
    pub fn with_limit(writes_to: W, limit: usize) -> Self {
        let (outbox, writes_to) = (Rc::default(), Some(writes_to));
        Self { outbox, high: limit, low: limit / 4, writes_to, task: None, waiting: None }
    }

    /// Waits while too much is unsent, and then queues all of the bytes.
    ///
    /// # Errors
    ///
    /// What has made an earlier write fail, such as a broken pipe; `NotConnected` after the end of
    /// writing.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is over, it has queued nothing.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.drain().await?;
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
    pub fn write_nowait(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.outbox.failure()?;
        if self.outbox.end() != End::Open {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "writing has been ended"));
        }
        let bytes = bytes.as_ref();
        if !bytes.is_empty() {
            self.outbox.put(bytes);
            self.start();
        }
        Ok(())
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
        self.drain().await?;
        lines.into_iter().try_for_each(|line| self.write_nowait(line))
    }

    /// If too much is unsent, waits until there is room again.
    ///
    /// # Errors
    ///
    /// What has made an earlier write fail.
    #[doc(alias = "asyncio.StreamWriter.drain")]
    pub async fn drain(&mut self) -> io::Result<()> {
        self.reached(Goal::Room).await;
        self.outbox.failure()
    }

    /// Waits until the kernel has taken all that has been written.
    ///
    /// # Errors
    ///
    /// What has made an earlier write fail.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.reached(Goal::Sent).await;
        self.outbox.failure()
    }

    /// Ends writing once all that is queued has been sent: the peer reads to the end, and may still
    /// write.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "asyncio.StreamWriter.write_eof")]
    pub fn write_eof(&mut self) {
        self.outbox.finish(End::Eof);
        self.start();
    }

    /// Lets go of the connection once all that is queued has been sent.
    #[doc(alias = "asyncio.StreamWriter.close")]
    pub fn close(&mut self) {
        self.outbox.finish(End::Closed);
        self.let_go_if_unused();
    }

    /// Waits until the writer, which has been closed or aborted, has let go of the connection.
    ///
    /// # Errors
    ///
    /// What has made a write fail.
    ///
    /// # Panics
    ///
    /// If it has been neither closed nor aborted.
    #[doc(alias = "asyncio.StreamWriter.wait_closed")]
    pub async fn wait_closed(&mut self) -> io::Result<()> {
        assert!(self.is_closing(), "a writer is closed before its end is awaited");
        self.reached(Goal::Closed).await;
        self.outbox.failure()
    }

    /// Breaks the connection in both directions: what is queued is not sent.
    #[doc(alias = "asyncio.WriteTransport.abort")]
    pub fn abort(&mut self) {
        self.outbox.finish(End::Aborted);
        if let Some(writes_to) = &mut self.writes_to {
            writes_to.abort();
        }
        self.let_go_if_unused();
        if let Some(task) = &self.task {
            task.cancel();
        }
    }

    /// Whether it has been closed or aborted.
    #[doc(alias = "asyncio.StreamWriter.is_closing")]
    pub fn is_closing(&self) -> bool {
        self.outbox.end() >= End::Closed
    }

    /// How many bytes have been written and not been taken by the kernel.
    #[doc(alias = "asyncio.WriteTransport.get_write_buffer_size")]
    pub fn unsent(&self) -> usize {
        self.outbox.unsent()
    }

    /// Waits for something by polling; whatever else was waited for so is not any more.
    pub(super) fn poll_goal(
        &mut self,
        goal: Goal,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let waiting = self.waiting.take().filter(|(present, _)| *present == goal);
        let (_, mut reached) = waiting.unwrap_or_else(|| (goal, self.reached(goal).boxed_local()));
        if reached.as_mut().poll(context).is_pending() {
            self.waiting = Some((goal, reached));
            return Poll::Pending;
        }
        Poll::Ready(self.outbox.failure())
    }

    /// Waits for something.
    fn reached(&self, goal: Goal) -> impl Future<Output = ()> + use<W> {
        let (outbox, high, low) = (Rc::clone(&self.outbox), self.high, self.low);
        async move {
            match goal {
                Goal::Room if outbox.unsent() <= high => {}
                Goal::Room => outbox.wait_until(|outbox| outbox.unsent() <= low).await,
                Goal::Sent => outbox.wait_until(|outbox| outbox.unsent() == 0).await,
                Goal::Closed => outbox.wait_until(|_| false).await,
            }
        }
    }

    /// Waits until the writer has let go of the connection, also after it is dropped.
    pub(crate) fn ending(&self) -> impl Future<Output = ()> + use<W> {
        self.reached(Goal::Closed)
    }

    /// Starts the task, unless there is one.
    fn start(&mut self) {
        if let Some(writes_to) = self.writes_to.take() {
            self.task = Some(spawn(send_all(Rc::clone(&self.outbox), writes_to)));
        }
    }
}

impl<W: Write> StreamWriter<W> {
    /// Without a task there is nothing to send.
    fn let_go_if_unused(&mut self) {
        if let Some(writes_to) = self.writes_to.take() {
            drop(writes_to);
            self.outbox.let_go();
        }
    }
}

// What is written to is moved only as a whole, into the task.
impl<W: Write> Unpin for StreamWriter<W> {}

impl<W: Write> Drop for StreamWriter<W> {
    fn drop(&mut self) {
        self.outbox.finish(End::Closed);
        self.let_go_if_unused();
    }
}

impl<W: Write> fmt::Debug for StreamWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter")
            .field("unsent", &self.outbox.unsent())
            .field("end", &self.outbox.end())
            .finish_non_exhaustive()
    }
}
