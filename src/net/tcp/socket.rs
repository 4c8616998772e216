//! A TCP socket before it is connected or listens.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::connect::refuse_itself;
use super::listener::TcpListener;
use super::option_names::{DEFER_ACCEPT, FAST_OPEN, FAST_OPEN_CONNECT, FREEBIND, TRANSPARENT};
use super::options::tcp_option_methods;
use super::stream::TcpStream;
use crate::error::Describe;
use crate::net::listener::ListenOptions;
use crate::net::options::option::option_methods_of;
use crate::net::options::unbound::{REUSE_ADDR, REUSE_PORT, V6_ONLY};
use crate::net::options::{FdOptions, option_methods};
use crate::net::stream::new_socket;
use crate::op::{Connect, Op};
use crate::runtime::context;
use crate::sys::socket::{self, AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM};

/// A TCP socket that is not connected and does not listen yet.
///
/// For programs that set options which [`ConnectOptions`](crate::net::ConnectOptions) and
/// [`ListenOptions`] do not have, or that bind before they decide. It has one address: several, or
/// a name, are what [`TcpStream::connect`] and [`TcpListener::bind`] are for.
///
/// # Example
///
/// ```
/// use annulus::net::TcpSocket;
///
/// annulus::run(async {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuse_addr(true)?;
///     socket.bind("127.0.0.1:0".parse().expect("a valid address"))?;
///     let listener = socket.listen(1024)?;
///
///     let socket = TcpSocket::new_v4()?;
///     socket.set_send_buffer_size(64 * 1024)?;
///     let mut client = socket.connect(listener.local_addr()?).await?;
///     let (mut stream, _) = listener.accept().await?;
///     client.write_all("hello").await.0?;
///     assert_eq!(&*stream.recv().await?, b"hello");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "socket2")]
pub struct TcpSocket {
    fd: OwnedFd,
}

impl TcpSocket {
    /// Makes a socket of IPv4.
    ///
    /// # Errors
    ///
    /// If descriptors have run out.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(AF_INET)
    }

    /// Makes a socket of IPv6.
    ///
    /// # Errors
    ///
    /// If descriptors have run out, or the machine has no IPv6.
    pub fn new_v6() -> io::Result<Self> {
        Self::new(AF_INET6)
    }

    fn new(domain: i32) -> io::Result<Self> {
        let fd = socket::open(domain, SOCK_STREAM, IPPROTO_TCP).describe("socket")?;
        Ok(Self { fd })
    }

    /// Takes over a stream of the standard library, which is not connected.
    ///
    /// For what other crates, such as `socket2`, have made.
    pub fn from_std_stream(stream: std::net::TcpStream) -> Self {
        OwnedFd::from(stream).into()
    }

    /// Binds the socket to an address.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `AddrInUse`.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        socket::bind(&self.fd, address).describe(format_args!("bind to {address}"))
    }

    /// Connects the socket.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `ConnectionRefused`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        let doing = format!("connect to {address}");
        let driver = context::driver();
        let lingers = socket::lingers(&self.fd);
        let connect = Connect::new(&driver, self.fd.into(), address, None);
        let descriptor = Op::new(&driver, connect).await.describe(&doing)?;
        refuse_itself(&descriptor, address).describe(&doing)?;
        Ok(TcpStream { socket: new_socket(driver, descriptor, lingers) })
    }

    /// Listens on the address to which the socket is bound.
    ///
    /// The kernel keeps `backlog` connections until they are accepted; see
    /// [`ListenOptions::backlog`]. In [shards](crate::shards) each such listener is one of its own.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `AddrInUse`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        socket::listen(&self.fd, backlog).describe("listen")?;
        Ok(TcpListener::of_socket(self.fd, &ListenOptions::new()))
    }

    /// The address to which the socket is bound.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        SocketAddr::try_from(socket::local_address(&self.fd).describe("getsockname")?)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the methods are those of streams, too")]
    fn options(&self) -> io::Result<FdOptions<'_>> {
        Ok(FdOptions(&self.fd))
    }

    option_methods!();
    tcp_option_methods!();

    option_methods_of! {
        /// Sets `SO_REUSEADDR`: whether an address with connections in `TIME_WAIT` is free.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "SO_REUSEADDR")]
        #[doc(alias = "set_reuseaddr")]
        #[doc(alias = "set_reuse_address")]
        set_reuse_addr(on: bool), reuse_addr -> bool, REUSE_ADDR;

        /// Sets `SO_REUSEPORT`: whether the port is shared with sockets that set it, too.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "SO_REUSEPORT")]
        #[doc(alias = "set_reuseport")]
        set_reuse_port(on: bool), reuse_port -> bool, REUSE_PORT;

        /// Sets `IPV6_V6ONLY`: whether a socket of IPv6 is not one of IPv4, too.
        ///
        /// # Errors
        ///
        /// For a socket of IPv4, and one that is bound already.
        #[doc(alias = "IPV6_V6ONLY")]
        #[doc(alias = "set_only_v6")]
        set_v6_only(on: bool), v6_only -> bool, V6_ONLY;

        /// Sets whether the socket may be bound to an address that this machine does not have yet.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "IP_FREEBIND")]
        #[doc(alias = "set_freebind_v4")]
        set_freebind(on: bool), freebind -> bool, FREEBIND;

        /// Sets whether the socket may use addresses of other machines, as a transparent proxy.
        ///
        /// # Errors
        ///
        /// `PermissionDenied` without `CAP_NET_ADMIN` or `CAP_NET_RAW`.
        #[doc(alias = "IP_TRANSPARENT")]
        #[doc(alias = "set_ip_transparent_v4")]
        set_transparent(on: bool), transparent -> bool, TRANSPARENT;

        /// Sets how long a listener leaves a connection unaccepted until its peer sends something.
        ///
        /// See [`ListenOptions::defer_accept`]. The kernel rounds the time.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "TCP_DEFER_ACCEPT")]
        set_defer_accept(seconds: u32), defer_accept -> u32, DEFER_ACCEPT;

        /// Sets how many connections of a listener may begin with data and be unconfirmed.
        ///
        /// See [`ListenOptions::fast_open`].
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "TCP_FASTOPEN")]
        set_fast_open(queue: u32), fast_open -> u32, FAST_OPEN;

        /// Sets whether the first bytes are sent with the first packet.
        ///
        /// See [`ConnectOptions::fast_open`](crate::net::ConnectOptions::fast_open).
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "TCP_FASTOPEN_CONNECT")]
        set_fast_open_connect(on: bool), fast_open_connect -> bool, FAST_OPEN_CONNECT;
    }
}

/// Takes over a socket. Which kind it is of is not checked.
impl From<OwnedFd> for TcpSocket {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> Self {
        socket.fd
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpSocket")
            .field("fd", &self.as_raw_fd())
            .field("local", &self.local_addr().ok())
            .finish()
    }
}
