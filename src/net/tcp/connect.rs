//! Opening a connection.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::connect_options::ConnectOptions;
use super::happy_eyeballs::race;
use super::stream::TcpStream;
use crate::driver::Driver;
use crate::error::{Describe, describe};
use crate::net::stream::{BufferLimits, StreamReader, StreamWriter, buffer};
use crate::net::{ToAddresses, lookup};
use crate::op::{Connect, Descriptor, Op, StreamSocket, open_socket, set_option};
use crate::runtime::context;
use crate::sys::address::domain;
use crate::sys::socket::{self, IP_BIND_ADDRESS_NO_PORT, IPPROTO_IP, IPPROTO_TCP, SOCK_STREAM};

impl TcpStream {
    /// Connects to an address, or to the first of several that answers.
    ///
    /// Several addresses race; see [`ConnectOptions::happy_eyeballs_delay`].
    ///
    /// # Errors
    ///
    /// If the name cannot be looked up. If no address answers, the error names all, and has the
    /// kind of the first.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, half-open connections are closed.
    pub async fn connect(addresses: impl ToAddresses) -> io::Result<Self> {
        Self::connect_with(addresses, &ConnectOptions::new()).await
    }

    /// Like [`connect`](Self::connect), with a timeout for each address.
    ///
    /// See [`ConnectOptions::timeout`]. It does not bound the look-up of a name;
    /// [`timeout`](crate::time::timeout) around the whole does.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect), and `TimedOut`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`connect`](Self::connect).
    pub async fn connect_timeout(
        addresses: impl ToAddresses,
        timeout: Duration,
    ) -> io::Result<Self> {
        let options = ConnectOptions::new().timeout(timeout);
        Self::connect_with(addresses, &options).await
    }

    /// Like [`connect`](Self::connect), with options.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect); `TimedOut` with a timeout; and with a local address, that
    /// it is not available.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`connect`](Self::connect).
    pub async fn connect_with(
        addresses: impl ToAddresses,
        options: &ConnectOptions,
    ) -> io::Result<Self> {
        let socket = connect(addresses, options).await?;
        Ok(Self { socket })
    }
}

/// Connects, as [`TcpStream::connect`] does, and returns a reader and a writer.
///
/// # Errors
///
/// As for [`TcpStream::connect`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, half-open connections are closed.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, open_connection};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let (mut reader, mut writer) = open_connection(listener.local_addr()?).await?;
///     let (mut server_reads, mut server_writes) = listener.accept().await?.0.into_buffered();
///     writer.write("ping\n").await?;
///     let line = server_reads.read_line().await?;
///     server_writes.write(line).await?;
///     assert_eq!(&*reader.read_line().await?, b"ping\n");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.open_connection")]
pub async fn open_connection(
    addresses: impl ToAddresses,
) -> io::Result<(StreamReader, StreamWriter)> {
    open_connection_with(addresses, &ConnectOptions::new()).await
}

/// Like [`open_connection`], with options.
///
/// # Errors
///
/// As for [`TcpStream::connect_with`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// As for [`open_connection`].
pub async fn open_connection_with(
    addresses: impl ToAddresses,
    options: &ConnectOptions,
) -> io::Result<(StreamReader, StreamWriter)> {
    let options = options.clone().nodelay(options.initial.nodelay.unwrap_or(true));
    let stream = TcpStream::connect_with(addresses, &options).await?;
    Ok(buffer(stream, BufferLimits { reader: options.reader_limit, writer: None }))
}

/// Connects to the first of the addresses that answers.
async fn connect(
    addresses: impl ToAddresses,
    options: &ConnectOptions,
) -> io::Result<Rc<StreamSocket>> {
    let driver = context::driver();
    let mut addresses = lookup(addresses).await?;
    if let Some(local) = options.local_addr {
        addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
        if addresses.is_empty() {
            let why = "every address to connect to is of the other family";
            let cause = io::Error::new(io::ErrorKind::AddrNotAvailable, why);
            return Err(describe(format_args!("connect from {local}"), cause));
        }
    }
    match addresses[..] {
        [address] => connect_to(&driver, address, options).await,
        _ => {
            let attempt = |address| connect_to(&driver, address, options);
            race(addresses, options.happy_eyeballs_delay, attempt).await
        }
    }
}

async fn connect_to(
    driver: &Rc<Driver>,
    address: SocketAddr,
    options: &ConnectOptions,
) -> io::Result<Rc<StreamSocket>> {
    let doing = format_args!("connect to {address}").to_string();
    let socket = new_socket(driver, &address, options).await.describe(&doing)?;
    let connect = Connect::new(driver, socket, address, options.timeout);
    let socket = Op::new(driver, connect).await.describe(&doing)?;
    refuse_itself(&socket, address).describe(&doing)?;
    Ok(Rc::new(StreamSocket::new(Rc::clone(driver), socket)))
}

/// Fails if a socket has been connected to itself.
pub(super) fn refuse_itself(socket: &Descriptor, address: SocketAddr) -> io::Result<()> {
    if is_connected_to_itself(socket, address) {
        let itself = "the system has connected the socket to itself: nothing listens there";
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, itself));
    }
    Ok(())
}

/// Whether a socket has been connected to itself.
///
/// A socket that connects to a port of this machine on which nothing listens may be given this very
/// port as its own. TCP then connects it to itself. For a direct descriptor it costs more to find
/// out than it is worth.
fn is_connected_to_itself(socket: &Descriptor, address: SocketAddr) -> bool {
    // The system chooses no such port, whatever `net.ipv4.ip_local_port_range` is.
    if address.port() < 1024 {
        return false;
    }
    let Some(fd) = socket.fd_if_open() else { return false };
    let local = socket::local_address(fd).and_then(SocketAddr::try_from);
    let is = local.is_ok_and(|local| local.port() == address.port() && local.ip() == address.ip());
    if is {
        // A reset, since an orderly close would keep the port from its server for a minute.
        let _ = socket::set_linger(fd, Some(Duration::ZERO));
    }
    is
}

/// Makes a socket with its options. One that is to be bound needs a descriptor of the process.
async fn new_socket(
    driver: &Rc<Driver>,
    address: &SocketAddr,
    options: &ConnectOptions,
) -> io::Result<Descriptor> {
    let mut new = match options.local_addr {
        None => open_socket(driver, domain(address), SOCK_STREAM, IPPROTO_TCP).await?,
        Some(_) => socket::tcp(address)?.into(),
    };
    for setting in options.initial.each() {
        let doing = format_args!("set {}", setting.what).to_string();
        let value = setting.value().describe(&doing)?;
        new = set_option(driver, new, setting.level, setting.name, value).await.describe(&doing)?;
    }
    if let Some(local) = options.local_addr {
        let fd = new.fd()?;
        if local.port() == 0 {
            // Where the kernel does not know the option, there are only fewer ports.
            let _ = socket::set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        }
        socket::bind(fd, local).describe(format_args!("bind to {local}"))?;
    }
    Ok(new)
}
