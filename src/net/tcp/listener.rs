//! Listening for TCP connections.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;

use super::TcpStream;
use crate::error::{Describe, describe};
use crate::net::address::{ToAddresses, lookup};
use crate::op::{Accepted, Acceptor};
use crate::runtime::context;
use crate::sys::{errno, socket};
use crate::task::budget;
use crate::time::{Sleep, sleep};

/// How to listen; see [`TcpListener::bind_with`].
///
/// # Example
///
/// ```
/// use annulus::net::{ListenOptions, TcpListener};
///
/// annulus::run(async {
///     let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
///     let first = TcpListener::bind_with("127.0.0.1:0", &options).await?;
///     // A second listener on the same port, for another thread.
///     TcpListener::bind_with(first.local_addr()?, &options).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Connections that the kernel completes and keeps until they are accepted. It limits the
    /// number by `net.core.somaxconn`. 1024 by default.
    pub backlog: u32,
    /// Takes a port of which old connections still linger; on by default.
    pub reuse_addr: bool,
    /// Shares the port with other listeners that ask for it: the kernel spreads connections over
    /// them. Off by default.
    pub reuse_port: bool,
    /// For an IPv6 address: whether IPv4 connections are refused (`Some(true)`) or taken
    /// (`Some(false)`). `None`, the default, is the system's setting, `net.ipv6.bindv6only`.
    pub only_v6: Option<bool>,
    /// Connections that may be taken from the backlog before someone awaits them. When so many are
    /// there the listener stops taking more, so that a flood of clients cannot use up the
    /// descriptors of a server that is busy. The kernel takes connections in batches, of which the
    /// last may be as large as the backlog: at most `ahead + backlog` are held. 64 by default; at
    /// least one.
    pub ahead: usize,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 1024, reuse_addr: true, reuse_port: false, only_v6: None, ahead: 64 }
    }
}

/// A socket that takes TCP connections.
///
/// Where the kernel can (5.19), one entry in the ring serves all connections: those that arrive
/// while nobody awaits them are kept, up to [`ListenOptions::ahead`]. When descriptors or memory run
/// out, accepting waits and tries again, with growing pauses; connections stay in the kernel's
/// backlog meanwhile, and [`Metrics::accept_stalls`](crate::Metrics::accept_stalls) counts the
/// pauses.
///
/// Dropped, the listener stops listening when the kernel has let go of the accept in flight, in the
/// next turn of the loop; [`close`](Self::close) waits for it. Connections that nobody accepted are
/// closed.
pub struct TcpListener {
    acceptor: Acceptor,
    /// Whether its connections inherit that closing them may take time.
    lingers: bool,
    pause: Pause,
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
        Self::bind_with(addresses, &ListenOptions::default()).await
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
                Ok(fd) => return Ok(Self::from_fd(fd, options.ahead)),
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
        Self::from_fd(listener.into(), ListenOptions::default().ahead)
    }

    fn from_fd(fd: OwnedFd, ahead: usize) -> Self {
        let lingers = socket::lingers(&fd);
        let bound = u32::try_from(ahead.max(1)).unwrap_or(u32::MAX);
        let driver = context::driver();
        // To be closed off the loop when the runtime ends, a connection needs a descriptor.
        let is_direct = driver.has_table() && !lingers;
        let acceptor = Acceptor::new(driver, fd, bound, is_direct);
        Self { acceptor, lingers, pause: Pause::default() }
    }

    /// Waits for a connection and gives it with its peer's address. If the peer has reset the
    /// connection already, the address is unspecified (`0.0.0.0:0` or `[::]:0`), and reading from
    /// the stream tells.
    ///
    /// # Errors
    ///
    /// If the listener is unusable. The misfortunes of single connections, and descriptors or
    /// memory running out, are not errors here: the accept goes on waiting.
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
            ready!(budget::poll_spend(context));
            ready!(self.pause.poll_over(context));
            let error = match ready!(self.acceptor.poll_accept(context)) {
                Ok(accepted) => {
                    self.pause = Pause::default();
                    return Poll::Ready(self.introduce(accepted));
                }
                Err(error) => error,
            };
            if errno::is_exhaustion(&error) {
                self.acceptor.driver().note_accept_stall();
                self.pause.begin();
            } else if !errno::is_passing_accept_error(&error) {
                return Poll::Ready(Err(describe("accept", error)));
            }
        }
    }

    fn introduce(&self, accepted: Accepted) -> io::Result<(TcpStream, SocketAddr)> {
        let driver = Rc::clone(self.acceptor.driver());
        let stream = TcpStream::new(driver, accepted.descriptor, self.lingers);
        let peer = match accepted.peer.map_or_else(|| stream.peer_addr(), Ok) {
            Ok(peer) => peer,
            // Reset while it waited in the backlog. It is the server's all the same.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                unspecified(self.local_addr()?)
            }
            Err(error) => return Err(error),
        };
        Ok((stream, peer))
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
    /// Gives the connections that had been taken from the backlog and not been accepted, so that a
    /// server that ends gracefully can still serve those clients.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the listener is closed all the same, a little later, and so are those connections.
    #[doc(alias = "asyncio.Server.wait_closed")]
    pub async fn close(mut self) -> Vec<(TcpStream, SocketAddr)> {
        let mut rest = Vec::new();
        while let Some(accepted) = poll_fn(|context| self.acceptor.poll_rest(context)).await {
            rest.extend(self.introduce(accepted));
        }
        rest
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::local_address(self.acceptor.fd()).describe("getsockname")
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
    if let Some(only_v6) = options.only_v6.filter(|_| address.is_ipv6()) {
        set(socket::IPPROTO_IPV6, socket::IPV6_V6ONLY, only_v6)?;
    }
    socket::bind(&fd, address)?;
    socket::listen(&fd, options.backlog)?;
    Ok(fd)
}

fn unspecified(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The wait before the next try, after descriptors or memory had run out.
#[derive(Debug, Default)]
struct Pause {
    length: Duration,
    sleep: Option<Sleep>,
}

impl Pause {
    const SHORTEST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(500);

    /// Begins a pause that is longer than the one before.
    fn begin(&mut self) {
        self.length = (self.length * 2).clamp(Self::SHORTEST, Self::LONGEST);
        self.sleep = Some(sleep(self.length));
    }

    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.sleep {
            ready!(Pin::new(sleep).poll(context));
            self.sleep = None;
        }
        Poll::Ready(())
    }
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
