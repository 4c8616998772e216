//! Listening for TCP connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::options::Initial;
use super::stream::TcpStream;
use crate::error::describe;
use crate::net::address::{ToAddresses, lookup};
use crate::net::listener::{ListenOptions, ListenSocket, methods};
use crate::sys::socket;

/// A socket that accepts TCP connections.
///
/// One multishot accept serves all connections (Linux 5.19): those that arrive before they are
/// awaited are kept, up to [`ListenOptions::max_pending`]. When descriptors or memory run out,
/// accepting pauses and tries again, after at most half a second, or as soon as this runtime has
/// closed a socket; connections stay in the kernel's backlog meanwhile, and
/// [`Metrics::accept_stalls`](crate::Metrics::accept_stalls) counts the pauses.
///
/// One task accepts at a time: a listener is not cloned. For several, or for several threads, bind
/// one for each with [`ListenOptions::reuse_port`].
///
/// Dropped, the listener stops listening when the kernel has released the accept in flight, in the
/// next turn of the loop; [`close`](Self::close) waits for it. Connections that were not accepted
/// are closed.
///
/// # Example
///
/// ```no_run
/// use annulus::net::{TcpListener, TcpStream};
///
/// async fn greet(mut stream: TcpStream) -> std::io::Result<()> {
///     stream.write_all("hello\n").await.0
/// }
///
/// annulus::run(async {
///     let mut listener = TcpListener::bind("127.0.0.1:7000").await?;
///     loop {
///         let (stream, peer) = listener.accept().await?;
///         annulus::spawn(async move {
///             if let Err(error) = greet(stream).await {
///                 eprintln!("{peer}: {error}");
///             }
///         });
///     }
///     # #[allow(unreachable_code)]
///     # std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TcpListener {
    listener: ListenSocket<TcpStream>,
}

methods::listener!(TcpListener, TcpStream, SocketAddr, std::net::TcpListener);

impl TcpListener {
    /// Listens on an address, or on the first of several that is free.
    ///
    /// # Errors
    ///
    /// If the name cannot be looked up, or the last address's error, such as `AddrInUse`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub async fn bind(addresses: impl ToAddresses) -> io::Result<Self> {
        Self::bind_with(addresses, &ListenOptions::new()).await
    }

    /// Like [`bind`](Self::bind), with options.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    pub async fn bind_with(
        addresses: impl ToAddresses,
        options: &ListenOptions,
    ) -> io::Result<Self> {
        let mut refusal = None;
        for address in lookup(addresses).await? {
            match listen_on(&address, options) {
                Ok(fd) => return Ok(Self { listener: ListenSocket::new(fd, options) }),
                Err(error) => {
                    refusal = Some(describe(format_args!("listen on {address}"), error));
                }
            }
        }
        Err(refusal.expect("a look-up gives at least one address"))
    }
}

fn listen_on(address: &SocketAddr, options: &ListenOptions) -> io::Result<OwnedFd> {
    let fd = socket::tcp(address)?;
    let set = |level, name, on: bool| socket::set_option(&fd, level, name, on.into());
    if options.reuse_addr {
        set(socket::SOL_SOCKET, socket::SO_REUSEADDR, true)?;
    }
    if options.reuse_port {
        set(socket::SOL_SOCKET, socket::SO_REUSEPORT, true)?;
    }
    if let Some(v6_only) = options.v6_only.filter(|_| address.is_ipv6()) {
        set(socket::IPPROTO_IPV6, socket::IPV6_V6ONLY, v6_only)?;
    }
    Initial { nodelay: options.nodelay, keepalive: options.keepalive }.set(&fd)?;
    socket::bind(&fd, *address)?;
    socket::listen(&fd, options.backlog)?;
    Ok(fd)
}
