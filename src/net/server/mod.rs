//! Servers: a handler that runs for each connection, in a task of its own.
//!
//! - `accept_loop` accepts, one task for each address.
//! - `registry` is who is being served.
//! - `handler` is what a handler may return.

mod accept_loop;
mod handler;
mod options;
mod registry;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

pub use handler::{HandlerFailure, HandlerOutcome};
pub use options::ServerOptions;

use super::listener::ListenOptions;
use super::stream::{StreamReader, StreamWriter};
use super::tcp::TcpListener;
use crate::error::raw_os_error;
use crate::net::address::{ToAddresses, lookup};
use crate::runtime::spawn;
use crate::sys::errno;
use crate::time::timeout;
use registry::Connections;

/// Serves connections with a handler, each in a task of its own, at all addresses that something stands
/// for. It serves from now on, in the background.
///
/// The handler is an async closure or function that takes a [`StreamReader`] and a [`StreamWriter`] and
/// returns nothing, or a `Result` with nothing in it. Its errors and panics go to
/// [`Builder::on_incident`](crate::Builder::on_incident), with the peer's address; the server goes on.
/// Errors which say no more than that the peer is gone are only counted, in
/// [`Metrics::peer_disconnects`](crate::Metrics::peer_disconnects).
///
/// # Errors
///
/// If a name cannot be looked up, or an address cannot be listened on, such as `AddrInUse`. Of several
/// addresses, one that this machine does not have is left out, also if it does not have IPv6 at all. Among
/// addresses of both families, those of IPv6 take no connections of IPv4.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use annulus::net::{StreamReader, StreamWriter, open_connection, start_server};
///
/// async fn shout(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
///     loop {
///         let line = reader.read_line().await?;
///         if line.is_empty() {
///             return Ok(());
///         }
///         writer.write(line.to_ascii_uppercase()).await?;
///     }
/// }
///
/// annulus::run(async {
///     let server = start_server(shout, "127.0.0.1:0").await?;
///     let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await?;
///     writer.write("hello\n").await?;
///     assert_eq!(&*reader.read_line().await?, b"HELLO\n");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.start_server")]
pub async fn start_server<H, T>(handler: H, addresses: impl ToAddresses) -> io::Result<Server>
where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    start_server_with(handler, addresses, &ServerOptions::new()).await
}

/// [`start_server`] with options.
///
/// # Errors
///
/// As there.
///
/// # Panics
///
/// As there.
pub async fn start_server_with<H, T>(
    handler: H,
    addresses: impl ToAddresses,
    options: &ServerOptions,
) -> io::Result<Server>
where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let listen_options = options.listen.clone().nodelay(options.listen.nodelay.unwrap_or(true));
    start_server_on(handler, listen(addresses, &listen_options).await?, options)
}

/// [`start_server`] on listeners that are there already: of one's own options, of a supervisor that hands
/// them over ([`TcpListener::from_std`]), or bound earlier than they are to be served.
/// [`ServerOptions::listen`] has no effect. Whether connections send small pieces at once is the
/// listeners' ([`ListenOptions::nodelay`]).
///
/// # Errors
///
/// If the address of a listener cannot be had.
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
///     // Clients may connect already; they wait in the backlog while the rest is made ready.
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
pub fn start_server_on<H, T>(
    handler: H,
    listeners: impl IntoIterator<Item = TcpListener>,
    options: &ServerOptions,
) -> io::Result<Server>
where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let listeners: Vec<_> = listeners.into_iter().collect();
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
    let connections = Rc::new(Connections::new(options, listeners.len()));
    let handler = Rc::new(handler);
    for listener in listeners {
        // The guard is made here: the task may be ended before it is first polled.
        let (handler, listening) = (Rc::clone(&handler), connections.listening());
        drop(spawn(accept_loop::serve(listener, handler, listening)));
    }
    Ok(Server { addresses, shared: Rc::new(OnDrop(connections)) })
}

/// Listens on all addresses.
async fn listen(
    addresses: impl ToAddresses,
    options: &ListenOptions,
) -> io::Result<Vec<TcpListener>> {
    let addresses = lookup(addresses).await?;
    let mut options = options.clone();
    if addresses.iter().any(SocketAddr::is_ipv4) {
        // Or the socket of `[::]` would take the port of `0.0.0.0`, too.
        options.v6_only = options.v6_only.or(Some(true));
    }
    let (mut listeners, mut missing) = (Vec::new(), None);
    for address in addresses {
        match TcpListener::bind_with(address, &options).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing(&error) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match missing.filter(|_| listeners.is_empty()) {
        Some(error) => Err(error),
        None => Ok(listeners),
    }
}

/// Whether this machine does not have an address, or its whole family.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || raw_os_error(error) == Some(errno::EAFNOSUPPORT)
}

/// A server that runs; made by [`start_server`]. Clones are of the same server.
///
/// When the last is dropped the server is [closed](Self::close): connections are served to their end,
/// but no new ones.
#[derive(Clone)]
#[must_use = "a server that is dropped is closed"]
#[doc(alias = "asyncio.Server")]
pub struct Server {
    addresses: Vec<SocketAddr>,
    shared: Rc<OnDrop>,
}

/// Closes the server when it is dropped.
struct OnDrop(Rc<Connections>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What became of the connections that a server had when it was shut down. Those that had ended before
/// are in neither number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many handlers ended during the shutdown, within the grace period.
    pub completed: usize,
    /// How many connections were reset after the grace period: their handlers were cancelled, or had
    /// not begun, or the connection was in the backlog.
    pub aborted: usize,
}

impl Server {
    /// The addresses that it listens on, or listened on before it was closed.
    #[doc(alias = "asyncio.Server.sockets")]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether it takes connections.
    #[doc(alias = "asyncio.Server.is_serving")]
    pub fn is_serving(&self) -> bool {
        self.connections().is_serving()
    }

    /// How many connections are being served now: how many handlers have begun and not ended, or have
    /// ended and left something that is still being sent.
    pub fn active_connections(&self) -> usize {
        self.connections().len()
    }

    /// Waits until the server is closed, or none of its addresses can be listened on any more. If it has
    /// been closed already, that is at once; [`is_serving`](Self::is_serving) tells before.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the server.
    #[doc(alias = "asyncio.Server.serve_forever")]
    pub async fn serve_forever(&self) {
        let _closes = OnDrop(Rc::clone(self.connections()));
        self.connections().wait_until(|connections| !connections.is_serving()).await;
    }

    /// Stops listening. Connections that had arrived, also those in the kernel's backlog, and those
    /// that are being served are served to their end. (Those that arrive while the kernel closes the
    /// socket are refused or reset by it. Should descriptors run out for more than a second while the
    /// backlog is taken, the rest of it is reset.)
    #[doc(alias = "asyncio.Server.close")]
    pub fn close(&self) {
        self.connections().close();
    }

    /// Has the readers of all connections come to their end, once they have read what had arrived. The
    /// handlers may still write.
    #[doc(alias = "asyncio.Server.close_clients")]
    pub fn close_clients(&self) {
        self.connections().close_clients();
    }

    /// Breaks all connections at once: what is queued to be sent is not sent, and reading and writing
    /// come to an end.
    #[doc(alias = "asyncio.Server.abort_clients")]
    pub fn abort_clients(&self) {
        self.connections().abort_clients();
    }

    /// Waits until the server has been closed, all its handlers have ended, and what they wrote has been
    /// sent.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    #[doc(alias = "asyncio.Server.wait_closed")]
    pub async fn wait_closed(&self) {
        self.connections().wait_until(Connections::is_over).await;
    }

    /// Closes the server, lets connections end by themselves for a while, and cuts the rest: their
    /// handlers are cancelled, and the connections reset, also of those that still waited to be served.
    /// Says what became of how many.
    ///
    /// Handlers whose clients may stay silent for long are told by
    /// [`close_clients`](Self::close_clients) before.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the server is closed and nothing is cut.
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
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let connections = self.connections();
        connections.close();
        let (ended_before, cut_before) = (connections.ended(), connections.cut_waiting());
        let in_time = timeout(grace, self.wait_closed()).await.is_ok();
        let completed = connections.ended() - ended_before;
        let cut = if in_time { 0 } else { connections.cut() };
        self.wait_closed().await;
        ShutdownReport { completed, aborted: cut + connections.cut_waiting() - cut_before }
    }

    fn connections(&self) -> &Rc<Connections> {
        &self.shared.0
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .field("is_serving", &self.is_serving())
            .field("connections", &self.active_connections())
            .finish()
    }
}
