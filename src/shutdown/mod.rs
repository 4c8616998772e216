//! Ending a process in order: a request that every task of every runtime can see.
//!
//! A [`Shutdown`] has two levels, *requested* and *forced*; [`state`] holds a token for each. That
//! reaches tasks on any thread, but a signal handler may not touch it: it may be interrupting the
//! very code that holds its lock. So the handler only counts and rings a bell (`sys::signals`), and
//! the runtimes that wait for the shutdown poll that bell. Whichever is first cancels the token.
//!
//! Waiting costs a runtime no operation per task: [`watch`] has one task for each runtime, which
//! waits for token and bell, and the others wait for that task.

mod state;
mod watch;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::sys::signals::{SIGINT, SIGTERM, SignalListener};
use crate::time::kernel_sleep;
use state::{Level, State};

/// How many turns of the event loop a read of bytes that have arrived may take: one for a dropped
/// read before it to end, one to learn that there are bytes, and one to receive them.
const LAST_TURNS: usize = 3;

/// A request to end in order, and a second one to end at once.
///
/// Every clone sees both. They are made by [`request`](Self::request) and [`force`](Self::force),
/// on any thread, or by [signals](Self::on_signals), and never taken back. Tasks of any number of
/// runtimes can look ([`is_requested`](Self::is_requested)) and wait
/// ([`requested`](Self::requested)), at no cost for each request that a server handles.
///
/// [`Server::serve_until`](crate::net::Server::serve_until) serves until the request, and then ends
/// its connections step by step.
///
/// # Example
///
/// ```
/// use annulus::Shutdown;
///
/// let shutdown = Shutdown::new();
/// let its = shutdown.clone();
/// let runtime = std::thread::spawn(move || annulus::run(async move { its.requested().await }));
/// shutdown.request();
/// runtime.join().unwrap()?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "graceful_shutdown")]
pub struct Shutdown {
    state: Arc<State>,
}

impl Shutdown {
    /// Creates a shutdown that is not requested, and that signals have no effect on.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// Creates a shutdown that SIGTERM and SIGINT (ctrl-c) request.
    ///
    /// From this call on, until the last clone is dropped, the first of these signals requests the
    /// shutdown, and the second forces it, whichever of the two they are. The third kills the
    /// process, as the first would without this. A signal that the process ignores, as one that a
    /// shell has started in the background ignores SIGINT, is still ignored.
    ///
    /// A signal is noted at once ([`is_requested`](Self::is_requested)), even if no runtime runs;
    /// tasks are woken by a runtime in which one of them waits. Several shutdowns, and listeners
    /// such as [`signal::ctrl_c`](crate::signal::ctrl_c), are all told of a signal. For other
    /// handlers, and after a fork, see there, too.
    ///
    /// # Errors
    ///
    /// If the process is out of descriptors.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use annulus::Shutdown;
    /// use annulus::net::{ShutdownOptions, StreamReader, StreamWriter, start_server};
    ///
    /// async fn greet(_: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    ///     writer.write("hello\n").await
    /// }
    ///
    /// #[annulus::main]
    /// async fn main() -> std::io::Result<std::process::ExitCode> {
    ///     let shutdown = Shutdown::on_signals()?;
    ///     let server = start_server(greet, "127.0.0.1:7000").await?;
    ///     let report = server.serve_until(&shutdown, &ShutdownOptions::new()).await;
    ///     println!("{report}");
    ///     Ok(report.exit_code())
    /// }
    /// ```
    #[doc(alias = "SIGTERM")]
    #[doc(alias = "SIGINT")]
    pub fn on_signals() -> io::Result<Self> {
        Ok(Self::with(Some(SignalListener::new(&[SIGTERM, SIGINT], 2)?)))
    }

    fn with(signals: Option<SignalListener>) -> Self {
        Self { state: Arc::new(State::new(signals)) }
    }

    /// Requests the end, in order. A second call has no effect.
    ///
    /// May be called on any thread, but not in a signal handler.
    pub fn request(&self) {
        self.state.raise(Level::Requested);
    }

    /// Requests the end at once: what has not ended is to be cancelled. Implies
    /// [`request`](Self::request).
    ///
    /// May be called on any thread, but not in a signal handler.
    pub fn force(&self) {
        self.state.raise(Level::Forced);
    }

    /// Whether the end has been requested, or forced.
    ///
    /// This is two loads from memory that changes at the request only.
    pub fn is_requested(&self) -> bool {
        self.state.has_reached(Level::Requested)
    }

    /// Whether the end has been forced.
    pub fn is_forced(&self) -> bool {
        self.state.has_reached(Level::Forced)
    }

    /// Waits until the end is [requested](Self::is_requested).
    ///
    /// A handler of connections that is to end between two requests races it against its next read:
    /// [`run_until_requested`](Self::run_until_requested).
    ///
    /// # Panics
    ///
    /// If it has to wait and there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn requested(&self) {
        watch::reached(&self.state, Level::Requested).await;
    }

    /// Waits until the end is [forced](Self::is_forced).
    ///
    /// # Panics
    ///
    /// If it has to wait and there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    ///
    /// # Example
    ///
    /// Work that may continue after the request, but not beyond the grace period:
    ///
    /// ```
    /// use std::future::pending;
    /// use annulus::Shutdown;
    ///
    /// annulus::run(async {
    ///     let shutdown = Shutdown::new();
    ///     let work = annulus::spawn(pending::<()>());
    ///     shutdown.force(); // As the second signal does.
    ///     shutdown.forced().await;
    ///     work.cancel();
    ///     assert!(work.await.unwrap_err().is_cancelled());
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub async fn forced(&self) {
        watch::reached(&self.state, Level::Forced).await;
    }

    /// Awaits a future, or returns `None` if it is not ready when the end is requested.
    ///
    /// Then the future is dropped. Before, and even if the end was requested long ago, the kernel
    /// is entered a few times, so that a read returns what has arrived at this machine: a handler
    /// that awaits each request of a client so ends between two of them, and answers all that were
    /// received.
    ///
    /// # Panics
    ///
    /// If it has to wait and there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// That of the future.
    ///
    /// # Example
    ///
    /// A handler that answers lines until the shutdown:
    ///
    /// ```
    /// use annulus::Shutdown;
    /// use annulus::net::{StreamReader, StreamWriter, open_connection, start_server};
    ///
    /// annulus::run(async {
    ///     let shutdown = Shutdown::new();
    ///     let its = shutdown.clone();
    ///     let handler = async move |mut reader: StreamReader, mut writer: StreamWriter| {
    ///         while let Some(line) = its.run_until_requested(reader.read_line()).await {
    ///             let line = line?;
    ///             if line.is_empty() {
    ///                 break;
    ///             }
    ///             writer.write(line).await?;
    ///         }
    ///         std::io::Result::Ok(())
    ///     };
    ///     let server = start_server(handler, "127.0.0.1:0").await?;
    ///     let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await?;
    ///     writer.write("hello\n").await?;
    ///     assert_eq!(&*reader.read_line().await?, b"hello\n");
    ///     shutdown.request();
    ///     assert!(reader.read_line().await?.is_empty());
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn run_until_requested<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let requested = pin!(self.requested());
        if let Either::Left((output, _)) = select(future.as_mut(), requested).await {
            return Some(output);
        }
        for _ in 0..LAST_TURNS {
            let turn = pin!(kernel_sleep(Duration::ZERO));
            if let Either::Left((output, _)) = select(future.as_mut(), turn).await {
                return Some(output);
            }
        }
        None
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("requested", &self.is_requested())
            .field("forced", &self.is_forced())
            .field("on_signals", &self.state.is_on_signals())
            .finish()
    }
}
