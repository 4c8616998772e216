//! Servers of TCP connections.

use std::io;
use std::net::SocketAddr;

use super::listener::TcpListener;
use crate::error::raw_os_error;
use crate::net::listener::ListenOptions;
use crate::net::server::{HandlerOutcome, Server, ServerOptions, start_server_on};
use crate::net::stream::{StreamReader, StreamWriter};
use crate::net::{ToAddresses, lookup};
use crate::sys::errno;

/// Serves connections with a handler, each in a task of its own, in the background.
///
/// It listens on all addresses that `addresses` resolves to. The handler is an async closure or
/// function that takes a [`StreamReader`] and a [`StreamWriter`] and returns `()` or `Result<(),
/// E>`. Its errors and panics go to [`Builder::on_incident`](crate::Builder::on_incident), with the
/// peer's address; the server goes on. Errors which say no more than that the peer is gone are only
/// counted, in [`Metrics::peer_disconnects`](crate::Metrics::peer_disconnects): those that
/// [`HandlerOutcome`] lists, whichever connection or `timeout` they are of. To have such an error
/// of another connection reported, return it as an error of your own, such as a `String`.
///
/// In [shards](crate::shards) each shard starts a server, and they share the port: see
/// [`Spread`](crate::net::Spread).
///
/// # Errors
///
/// If a name cannot be looked up, or an address cannot be listened on, such as `AddrInUse`. Of
/// several addresses, one that this machine does not have is left out, even if it has no IPv6 at
/// all. Among addresses of both families, those of IPv6 accept no connections of IPv4.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, no server is started.
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

/// Like [`start_server`], with options.
///
/// # Errors
///
/// As for [`start_server`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, no server is started.
pub async fn start_server_with<H, T>(
    handler: H,
    addresses: impl ToAddresses,
    options: &ServerOptions,
) -> io::Result<Server>
where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let listen_options =
        options.listen.clone().nodelay(options.listen.initial.nodelay.unwrap_or(true));
    start_server_on(handler, listen(addresses, &listen_options).await?, options)
}

/// Listens on all addresses.
async fn listen(
    addresses: impl ToAddresses,
    options: &ListenOptions,
) -> io::Result<Vec<TcpListener>> {
    let addresses = lookup(addresses).await?;
    let mut options = options.clone();
    if addresses.iter().any(SocketAddr::is_ipv4) {
        // Otherwise the socket of `[::]` would take the port of `0.0.0.0`, too.
        options.unbound.v6_only = options.unbound.v6_only.or(Some(true));
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
