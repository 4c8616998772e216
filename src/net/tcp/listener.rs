//! Listening for TCP connections.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use super::TcpStream;
use crate::error::{Describe, describe};
use crate::net::address::{ToAddresses, lookup};
use crate::net::listener::ListenOptions;
use crate::net::listener::backoff::Trouble;
use crate::net::options::Initial;
use crate::op::{Accepted, Acceptor};
use crate::runtime::context;
use crate::sys::{errno, socket};
use crate::task::coop;

/// A socket that takes TCP connections.
///
/// Where the kernel can (5.19), one entry in the ring serves all connections: those that arrive
/// while nobody awaits them are kept, up to [`ListenOptions::max_pending`]. When descriptors or memory run
/// out, accepting waits and tries again, with growing pauses, up to half a second, or as soon as this
/// runtime has closed a socket; connections stay in the kernel's backlog meanwhile, and
/// [`Metrics::accept_stalls`](crate::Metrics::accept_stalls) counts the pauses.
///
/// One task accepts at a time: a listener is not cloned. For several, or for several threads, bind one for
/// each with [`ListenOptions::reuse_port`].
///
/// Dropped, the listener stops listening when the kernel has let go of the accept in flight, in the
/// next turn of the loop; [`close`](Self::close) waits for it. Connections that nobody accepted are
/// closed.
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
    acceptor: Acceptor,
    /// Whether its connections inherit that closing them may take time.
    lingers: bool,
    trouble: Trouble,
}

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

    /// [`bind`](Self::bind) with options.
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
                Ok(fd) => return Ok(Self::from_fd(fd, options.max_pending)),
                Err(error) => {
                    refusal = Some(describe(format_args!("listen on {address}"), error));
                }
            }
        }
        Err(refusal.expect("a look-up gives at least one address"))
    }

    /// Takes over a listener of the standard library's.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn from_std(listener: std::net::TcpListener) -> Self {
        Self::from_fd(listener.into(), ListenOptions::new().max_pending)
    }

    fn from_fd(fd: OwnedFd, max_pending: usize) -> Self {
        let ahead = u32::try_from(max_pending.max(1)).unwrap_or(u32::MAX);
        let lingers = socket::lingers(&fd);
        let driver = context::driver();
        // To be closed off the loop when the runtime ends, a connection needs a descriptor.
        let is_direct = driver.has_file_table() && !lingers;
        let acceptor = Acceptor::new(driver, fd, ahead, is_direct);
        Self { acceptor, lingers, trouble: Trouble::default() }
    }

    /// From now on no more connections are taken from the backlog than there is room for, which is
    /// at least one while a connection is awaited.
    pub(in crate::net) fn set_room(&mut self, room: usize) {
        self.acceptor.set_room(u32::try_from(room).unwrap_or(u32::MAX));
    }

    /// Waits for a connection and gives it with its peer's address, also if the peer has reset the
    /// connection already: then reading from the stream tells. Should the system keep the address to
    /// itself, it is unspecified (`0.0.0.0:0` or `[::]:0`).
    ///
    /// # Errors
    ///
    /// If this is not a listening socket (any more). Nothing else is an error here: what befalls a
    /// single connection is counted in [`Metrics::accept_errors`](crate::Metrics::accept_errors),
    /// and when descriptors or memory run out, or a security module refuses, the accept goes on after
    /// a pause, and an [`Incident::AcceptDelayed`](crate::Incident::AcceptDelayed) tells.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no connection is lost: one that had arrived is what the next accept returns.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            // Connections may be there already; taking them must not go on for ever.
            ready!(coop::poll_spend(context));
            ready!(self.trouble.poll_over(self.acceptor.driver(), context));
            let error = match ready!(self.acceptor.poll_accept(context)) {
                Ok(accepted) => {
                    self.trouble.end();
                    return Poll::Ready(Ok(self.introduce(accepted)));
                }
                Err(error) => error,
            };
            if errno::ends_listener(&error) || self.acceptor.driver().is_closing() {
                return Poll::Ready(Err(describe("accept", error)));
            }
            self.note(&error);
        }
    }

    /// Something has kept an accept from giving a connection.
    fn note(&mut self, error: &io::Error) {
        let address = self.local_addr().unwrap_or_else(|_| self.unspecified());
        self.trouble.note(self.acceptor.driver(), address, error);
    }

    /// The stream of a connection, and its peer's address. Nothing keeps a connection that has been
    /// accepted from being served.
    fn introduce(&self, accepted: Accepted) -> (TcpStream, SocketAddr) {
        let driver = Rc::clone(self.acceptor.driver());
        let stream = TcpStream::new(driver, accepted.descriptor, self.lingers);
        if let Some(peer) = accepted.peer {
            stream.socket().set_peer_addr(peer);
        }
        let peer = stream.peer_addr().unwrap_or_else(|_| self.unspecified());
        (stream, peer)
    }

    /// The address that stands for one that cannot be had.
    fn unspecified(&self) -> SocketAddr {
        match self.local_addr() {
            Ok(SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            _ => (Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }

    /// The connections as a stream, which never ends; see [`accept`](Self::accept).
    ///
    /// # Example
    ///
    /// ```no_run
    /// use annulus::net::TcpListener;
    /// use futures_util::StreamExt;
    ///
    /// annulus::run(async {
    ///     let mut listener = TcpListener::bind("127.0.0.1:7000").await?;
    ///     let mut incoming = listener.incoming();
    ///     while let Some(connection) = incoming.next().await {
    ///         let (stream, peer) = connection?;
    ///         println!("{peer} on {stream:?}");
    ///     }
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn incoming(&mut self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Stops listening, and waits until the kernel has let go of the socket: its port is free then.
    /// Gives the connections that had arrived and not been accepted, so that a server that ends
    /// gracefully can still serve those clients. They may be as many as the
    /// [backlog](ListenOptions::backlog); if descriptors run out, the rest is reset.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the listener is closed all the same, a little later, and so are those connections.
    #[doc(alias = "asyncio.Server.wait_closed")]
    pub async fn close(mut self) -> Vec<(TcpStream, SocketAddr)> {
        let mut rest = Vec::new();
        while let Some(Ok(connection)) = self.rest().await {
            rest.push(connection);
        }
        rest
    }

    /// Takes no new connections, and gives one after the other those that had arrived; `None` when
    /// there are no more. An error says that descriptors or memory have run out: there may be more.
    pub(in crate::net) async fn rest(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        poll_fn(|context| {
            ready!(coop::poll_spend(context));
            let rest = ready!(self.acceptor.poll_rest(context));
            Poll::Ready(rest.map(|rest| rest.map(|accepted| self.introduce(accepted))))
        })
        .await
    }

    /// Waits until what has run out may be there again. False if that has been in vain too often.
    pub(in crate::net) async fn waits_out(&mut self, error: &io::Error) -> bool {
        self.note(error);
        poll_fn(|context| self.trouble.poll_over(self.acceptor.driver(), context)).await;
        self.trouble.is_bearable()
    }

    /// There is nothing in the way any more.
    pub(in crate::net) fn goes_on(&mut self) {
        self.trouble.end();
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = socket::local_address(self.acceptor.fd()).describe("getsockname")?;
        SocketAddr::try_from(address)
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

/// The connections of a listener; made by [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    listener: &'a mut TcpListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<(TcpStream, SocketAddr)>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(context).map(Some)
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.acceptor.fd().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.acceptor.fd().as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("fd", &self.as_raw_fd())
            .field("local", &self.local_addr().ok())
            .finish()
    }
}
