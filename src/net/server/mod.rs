//! Servers: a handler that runs for each connection, in a task of its own, whatever the kind of
//! socket.
//!
//! `accept_loop` accepts, in one task for each address, and starts the handlers; `forms` are those
//! of a handler, and `handler` is what they may return. `registry` knows the connections,
//! `shutdown` ends them, and `report` says how many ended how. `peers` counts them by address, and
//! `progress` ends those without any. `options` are those of a server.

mod accept_loop;
mod forms;
mod handler;
mod options;
mod peers;
mod progress;
mod registry;
mod report;
mod shutdown;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Weak;
use std::time::Duration;

pub use handler::{HandlerFailure, HandlerOutcome};
pub use options::{ServerOptions, WhenFull};
pub use report::ShutdownReport;
pub use shutdown::ShutdownOptions;

use super::listener::{ListenSocket, Listener, listening_sealed};
use super::stream::{Connection, StreamReader, StreamWriter};
use super::tcp::TcpStream;
use crate::op::SharedListener;
use crate::runtime::spawn;
use crate::shutdown::Shutdown;
use accept_loop::Shared;
use forms::{Buffered, Handles, Whole};
use progress::Checks;
use registry::Registry;

/// Like [`start_server`](crate::net::start_server), on listeners that exist already.
///
/// They may have been bound with other options or earlier than they are to be served, or come from
/// a supervisor ([`TcpListener::from_std`](crate::net::TcpListener::from_std)). They may be TCP's
/// or Unix' listeners. [`ServerOptions::listen`] has no effect: `TCP_NODELAY` is on if the listener
/// has it ([`ListenOptions::nodelay`](crate::net::ListenOptions::nodelay)).
///
/// # Errors
///
/// If the address of a listener cannot be had, or an option of it cannot be set.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use annulus::net::{
///     ServerOptions, StreamReader, StreamWriter, TcpListener, open_connection, start_server_on,
/// };
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     // Clients may connect already; they wait in the backlog until the server has started.
///     let (mut reader, _writer) = open_connection(listener.local_addr()?).await?;
///     let greet = async |_: StreamReader, mut writer: StreamWriter| writer.write("hello\n").await;
///     let _server = start_server_on(greet, [listener], &ServerOptions::new())?;
///     assert_eq!(&*reader.read_line().await?, b"hello\n");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.Server.start_serving")]
#[track_caller]
pub fn start_server_on<L, H, T>(
    handler: H,
    listeners: impl IntoIterator<Item = L>,
    options: &ServerOptions,
) -> io::Result<Server<L::Stream>>
where
    L: Listener,
    H: AsyncFn(StreamReader<L::Stream>, StreamWriter<L::Stream>) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    start(Buffered { handler, limits: options.buffers }, listeners, options)
}

/// Like [`start_server_on`], for a handler that takes the connection itself.
///
/// This is for handlers that have a reader and a writer of their own, such as those of a library.
/// Of the options, [`ServerOptions::reader_limit`] and [`ServerOptions::writer_limit`] have no
/// effect. A write that the handler has dropped before its end may not have been sent.
///
/// # Errors
///
/// As for [`start_server_on`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use annulus::net::{ServerOptions, TcpListener, TcpStream, start_stream_server_on};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let greet = async |mut stream: TcpStream| stream.write_all("hello\n").await.0;
///     let server = start_stream_server_on(greet, [listener], &ServerOptions::new())?;
///     let mut client = TcpStream::connect(server.local_addrs()[0]).await?;
///     assert_eq!(&*client.recv().await?, b"hello\n");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn start_stream_server_on<L, H, T>(
    handler: H,
    listeners: impl IntoIterator<Item = L>,
    options: &ServerOptions,
) -> io::Result<Server<L::Stream>>
where
    L: Listener,
    H: AsyncFn(L::Stream) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    start(Whole(handler), listeners, options)
}

#[track_caller]
fn start<L: Listener>(
    handler: impl Handles<L::Stream>,
    listeners: impl IntoIterator<Item = L>,
    options: &ServerOptions,
) -> io::Result<Server<L::Stream>> {
    let listeners: Vec<_> = listeners.into_iter().map(L::into_inner).collect();
    let addresses = listeners.iter().map(ListenSocket::local_addr).collect::<io::Result<_>>()?;
    let sockets = listeners.iter().map(ListenSocket::share).collect();
    let registry = Rc::new(Registry::new(options, listeners.len()));
    if let Some(timeout) = options.progress.send {
        // What the kernel holds of a connection that has been released is no longer looked at. One
        // that is looked at is ended by the check, which counts it, even if the loop is late.
        let later = timeout.saturating_mul(2).saturating_add(Duration::from_secs(1));
        listeners.iter().try_for_each(|listener| listener.set_user_timeout(later))?;
    }
    if let Some(checks) = Checks::of(options.progress) {
        drop(spawn(progress::watch(Rc::clone(&registry), checks)));
    }
    let shared = Rc::new(Shared { handler, registry: Rc::clone(&registry) });
    for listener in listeners {
        registry.max().into_iter().for_each(|max| listener.set_max(max));
        // The guard is made here: the task may be ended before it is first polled.
        let accepting = registry.accepting();
        drop(spawn(accept_loop::serve(listener, Rc::clone(&shared), accepting)));
    }
    Ok(Server { addresses, sockets, closes: Rc::new(OnDrop(registry)) })
}

/// A running server; made by [`start_server`](crate::net::start_server).
///
/// Clones are of the same server.
///
/// When the last is dropped the server is [closed](Self::close): connections are served to their
/// end, but no new ones. `S` is the kind of its connections; without it, TCP is meant.
#[must_use = "a server that is dropped is closed"]
#[doc(alias = "asyncio.Server")]
pub struct Server<S: Connection = TcpStream> {
    addresses: Vec<S::Addr>,
    /// Its tasks own the listening sockets.
    sockets: Rc<[Weak<SharedListener>]>,
    closes: Rc<OnDrop>,
}

/// Closes the server when it is dropped.
struct OnDrop(Rc<Registry>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<S: Connection> Server<S> {
    /// The addresses that it listens on, or listened on before it was closed.
    #[doc(alias = "asyncio.Server.sockets")]
    pub fn local_addrs(&self) -> &[S::Addr] {
        &self.addresses
    }

    /// Whether it accepts connections.
    #[doc(alias = "asyncio.Server.is_serving")]
    pub fn is_serving(&self) -> bool {
        self.registry().is_serving()
    }

    /// How many connections are being served now.
    ///
    /// It counts handlers that have begun and not ended, and those that have ended and left
    /// something that is still being sent.
    pub fn active_connections(&self) -> usize {
        self.registry().len()
    }

    /// Waits until the server is closed, or can listen at none of its addresses.
    ///
    /// It returns at once if that is so already; [`is_serving`](Self::is_serving) tells before.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the server.
    #[doc(alias = "asyncio.Server.serve_forever")]
    pub async fn serve_forever(&self) {
        let _closes = OnDrop(Rc::clone(self.registry()));
        self.registry().wait_until(|registry| !registry.is_serving()).await;
    }

    /// Serves until the end is requested, and then ends the server in order.
    ///
    /// 1. At the [request](Shutdown::request), or when the server is closed, it stops listening.
    ///    What had arrived, even in the kernel's backlog, is served. Handlers continue, for
    ///    [`ShutdownOptions::grace`] at most; those that see the request themselves
    ///    ([`Shutdown::run_until_requested`]) can end between two requests of their clients.
    /// 2. Connections that have not ended are *soft-cancelled*: their handlers meet EOF, and have
    ///    [`ShutdownOptions::soft_grace`] to end.
    /// 3. The rest is aborted: handlers are cancelled, and connections reset.
    ///
    /// If the end is [forced](Shutdown::force), as by a second signal, the third step follows at
    /// once. It returns when all connections have ended. A handler that blocks its thread, or a
    /// destructor that does, cannot be cancelled, and delays that: the third signal kills it.
    ///
    /// Several servers, of TCP and Unix sockets too, share one shutdown: await this of each of them
    /// together, and add the reports.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the server is closed, and no step follows.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::Shutdown;
    /// use annulus::join::gather;
    /// use annulus::net::{ShutdownOptions, StreamReader, StreamWriter, start_server};
    ///
    /// async fn greet(_: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    ///     writer.write("hello\n").await
    /// }
    ///
    /// annulus::run(async {
    ///     let shutdown = Shutdown::new(); // or Shutdown::on_signals()?
    ///     let first = start_server(greet, "127.0.0.1:0").await?;
    ///     let second = start_server(greet, "127.0.0.1:0").await?;
    ///     shutdown.request();
    ///     let options = ShutdownOptions::new();
    ///     let both = (
    ///         first.serve_until(&shutdown, &options),
    ///         second.serve_until(&shutdown, &options),
    ///     );
    ///     let (first_report, second_report) = gather(both).await;
    ///     println!("{}", first_report + second_report);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn serve_until(
        &self,
        shutdown: &Shutdown,
        options: &ShutdownOptions,
    ) -> ShutdownReport {
        let _closes = OnDrop(Rc::clone(self.registry()));
        shutdown::serve_until(self.registry(), shutdown, options).await
    }

    /// Stops listening.
    ///
    /// Connections that had arrived, even those in the kernel's backlog, and those that are being
    /// served are served to their end. Later ones are refused. (Where another process or descriptor
    /// has the socket, too, it listens on; if it does not after all, those that arrive while this
    /// is closed are reset. Should descriptors run out for more than a second while the backlog is
    /// accepted, the rest of it is reset. On a port that several listeners share, a client that the
    /// kernel has assigned to this one connects to another when it tries again, after a second.)
    #[doc(alias = "asyncio.Server.close")]
    pub fn close(&self) {
        self.registry().close();
    }

    /// Shuts down the receive side of every connection.
    ///
    /// Handlers meet EOF after reading buffered data. They may still write.
    #[doc(alias = "asyncio.Server.close_clients")]
    pub fn close_clients(&self) {
        self.registry().close_clients();
    }

    /// Aborts all connections at once.
    ///
    /// Queued data is not sent, and reading and writing end.
    #[doc(alias = "asyncio.Server.abort_clients")]
    pub fn abort_clients(&self) {
        self.registry().abort_clients();
    }

    /// Waits until the server has been closed and all its connections have ended.
    ///
    /// A connection ends when its handler has ended and what it wrote has been sent.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    #[doc(alias = "asyncio.Server.wait_closed")]
    pub async fn wait_closed(&self) {
        self.registry().wait_until(Registry::is_over).await;
    }

    /// Closes the server, and aborts connections that do not end in time.
    ///
    /// Handlers of aborted connections are cancelled, and the connections reset; so are those that
    /// still waited to be served. The report counts both kinds.
    ///
    /// To end handlers whose clients may stay silent for long, call
    /// [`close_clients`](Self::close_clients) before, or use [`serve_until`](Self::serve_until),
    /// which does so after a while.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the server is closed and nothing is aborted.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use annulus::net::{open_connection, start_server};
    ///
    /// annulus::run(async {
    ///     let handler = async |mut reader: annulus::net::StreamReader, _| {
    ///         while reader.read(100).await.is_ok_and(|read| !read.is_empty()) {}
    ///     };
    ///     let server = start_server(handler, "127.0.0.1:0").await?;
    ///     let _silent = open_connection(server.local_addrs()[0]).await?;
    ///     let report = server.shutdown(Duration::from_millis(5)).await;
    ///     assert_eq!(report.completed + report.aborted, 1);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "graceful_shutdown")]
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        shutdown::shutdown(self.registry(), grace).await
    }

    fn registry(&self) -> &Rc<Registry> {
        &self.closes.0
    }
}

impl<S: Connection> listening_sealed::Listening for Server<S> {
    fn share(&self) -> Vec<Weak<SharedListener>> {
        self.sockets.to_vec()
    }
}

// Derived, it would be for streams that can be cloned only.
impl<S: Connection> Clone for Server<S> {
    fn clone(&self) -> Self {
        let (sockets, closes) = (Rc::clone(&self.sockets), Rc::clone(&self.closes));
        Self { addresses: self.addresses.clone(), sockets, closes }
    }
}

impl<S: Connection> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .field("is_serving", &self.is_serving())
            .field("connections", &self.active_connections())
            .finish()
    }
}
