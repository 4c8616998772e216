//! Listening for TCP connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::stream::TcpStream;
use crate::error::{Describe, describe, raw_os_error};
use crate::net::listener::{
    self, AcceptQueue, ListenOptions, ListenSocket, Sockets, Spread, methods,
};
use crate::net::options::unbound::Unbound;
use crate::net::{ToAddresses, lookup};
use crate::shards::Shard;
use crate::sys::address::Address;
use crate::sys::{errno, socket};

/// A socket that accepts TCP connections.
///
/// One multishot accept serves all connections (Linux 5.19): those that arrive before they are
/// awaited are kept, up to [`ListenOptions::max_pending`]. When descriptors or memory run out,
/// accepting pauses and tries again, after at most half a second, or as soon as this runtime has
/// closed a socket; connections stay in the kernel's backlog meanwhile, and
/// [`Metrics::accept_stalls`](crate::Metrics::accept_stalls) counts the pauses.
///
/// Several tasks may accept from one listener, in turn; [`accept`](Self::accept) says how. Several
/// threads bind one each, with [`ListenOptions::reuse_port`].
///
/// [Shards](crate::shards) that bind the same address listen together, and connections are spread
/// over them ([`Spread`]). For port 0 the first listeners of the shards have the same port, which
/// the kernel chooses, and so do the second ones; a listener for one shard alone is
/// [`Spread::Private`].
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
///     let listener = TcpListener::bind("127.0.0.1:7000").await?;
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
    listener: AcceptQueue<TcpStream>,
}

methods::listener!(TcpListener, TcpStream, SocketAddr, std::net::TcpListener);

impl TcpListener {
    /// The listener of a socket that listens.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub(super) fn of_socket(fd: OwnedFd, options: &ListenOptions) -> Self {
        Self { listener: AcceptQueue::new(ListenSocket::new(fd, options)) }
    }

    /// The listening socket, for calls that do not pass it on.
    pub(super) fn fd(&self) -> &OwnedFd {
        self.listener.fd()
    }

    /// Listens on an address, or on the first of several that is free.
    ///
    /// # Errors
    ///
    /// If the name cannot be looked up, or the last address's error, such as `AddrInUse`. For a
    /// shard that means that a socket outside of the shards has the port, or that this shard has a
    /// listener there already. `InvalidInput` if the shards do not agree how to
    /// [spread](ListenOptions::spread) connections.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped while a name is looked up, it listens on no address.
    pub async fn bind(addresses: impl ToAddresses) -> io::Result<Self> {
        Self::bind_with(addresses, &ListenOptions::new()).await
    }

    /// Like [`bind`](Self::bind), with options.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`bind`](Self::bind).
    pub async fn bind_with(
        addresses: impl ToAddresses,
        options: &ListenOptions,
    ) -> io::Result<Self> {
        let mut refusal = None;
        for address in lookup(addresses).await? {
            match listen_on(&address, options) {
                Ok(socket) => return Ok(Self { listener: AcceptQueue::new(socket) }),
                Err(error) => refusal = Some(error),
            }
        }
        Err(refusal.expect("a look-up gives at least one address"))
    }
}

fn listen_on(address: &SocketAddr, options: &ListenOptions) -> io::Result<ListenSocket<TcpStream>> {
    let spread = options.spread.unwrap_or(Spread::Hash);
    let shard = Shard::try_current().filter(|_| spread != Spread::Private);
    let Some(shard) = shard else {
        let fd = bind(address, options, options.unbound.reuse_port)
            .and_then(|fd| socket::listen(&fd, options.backlog).map(|()| fd))
            .describe(format_args!("listen on {address}"))?;
        return Ok(ListenSocket::new(fd, options));
    };
    let joined = listener::listen(
        &shard,
        &Address::Ip(*address),
        spread,
        options,
        &TcpSockets { address, options },
    );
    let joined = joined.map_err(|error| {
        let remedy = remedy(&error);
        describe(format_args!("listen on {address}{remedy}"), error)
    })?;
    Ok(ListenSocket::joined(joined, options))
}

/// What the user of several shards may do about an error of the kernel.
fn remedy(error: &io::Error) -> &'static str {
    match raw_os_error(error) {
        Some(errno::EADDRINUSE) => {
            " (a socket that is not one of these shards' has the port: end its process; or, to \
             share the port, set `ListenOptions::reuse_port` in both)"
        }
        _ => "",
    }
}

/// The sockets of shards that listen on the same address.
struct TcpSockets<'a> {
    address: &'a SocketAddr,
    options: &'a ListenOptions,
}

impl Sockets for TcpSockets<'_> {
    fn bind(&self, address: &Address, shares: bool) -> io::Result<OwnedFd> {
        let Address::Ip(address) = address else { unreachable!("TCP has no other addresses") };
        bind(address, self.options, shares)
    }

    fn is_open_ended(&self) -> bool {
        self.address.port() == 0
    }
}

/// Makes a socket with the options of a listener. If it `shares`, other sockets that do so may have
/// its port.
fn bind(address: &SocketAddr, options: &ListenOptions, shares: bool) -> io::Result<OwnedFd> {
    let fd = socket::tcp(address)?;
    Unbound { reuse_port: shares, ..options.unbound }.set(&fd, address)?;
    options.initial.set(&fd)?;
    socket::bind(&fd, *address)?;
    Ok(fd)
}
