//! Connecting Unix sockets.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::rc::Rc;

use crate::error::Describe;
use crate::net::stream::{StreamReader, StreamWriter};
use crate::op::{Connect, Op, StreamSocket, open_socket};
use crate::runtime::context;
use crate::sys::socket::{AF_UNIX, SOCK_STREAM};

/// A connection of a Unix socket, on the thread of its runtime.
///
/// It is used as a [`TcpStream`](crate::net::TcpStream) is, with the same guarantees. The one
/// difference is an abort: the peer of a Unix socket sees EOF, unless it has sent bytes that were
/// not read; then it finds the connection reset.
///
/// # Example
///
/// ```
/// use annulus::net::UnixStream;
///
/// annulus::run(async {
///     let (mut near, mut far) = UnixStream::pair()?;
///     near.write_all("ping").await.0?;
///     assert_eq!(&*far.recv().await?, b"ping");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixStream {
    pub(super) socket: Rc<StreamSocket>,
}

impl UnixStream {
    /// Connects to the listener at a path or at an abstract name.
    ///
    /// A path that begins with a zero byte is an abstract name.
    ///
    /// Waits while the listener's backlog is full. A kernel worker, which is a thread, waits with
    /// it: see [`Builder::max_kernel_workers`](crate::Builder::max_kernel_workers).
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such path, `ConnectionRefused` if no process listens there, and
    /// `InvalidInput` for a path of more than 107 bytes.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_addr(&address_of(path.as_ref())?).await
    }

    /// Like [`connect`](Self::connect), to an address of the standard library.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`connect`](Self::connect).
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let doing = format!("connect to {}", text_of(address));
        let driver = context::driver();
        let socket = open_socket(&driver, AF_UNIX, SOCK_STREAM, 0).await.describe(&doing)?;
        let connect = Connect::new(&driver, socket, address, None);
        let socket = Op::new(&driver, connect).await.describe(&doing)?;
        Ok(Self { socket: Rc::new(StreamSocket::new(driver, socket)) })
    }

    /// Makes two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// If descriptors have run out.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (first, second) = net::UnixStream::pair().describe("socketpair")?;
        Ok((first.into(), second.into()))
    }
}

/// Connects, as [`UnixStream::connect`] does, and returns a reader and a writer.
///
/// # Errors
///
/// As for [`UnixStream::connect`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the connection is closed.
///
/// # Example
///
/// ```no_run
/// use annulus::net::open_unix_connection;
///
/// annulus::run(async {
///     let (mut reader, mut writer) = open_unix_connection("/run/service.sock").await?;
///     writer.write("status\n").await?;
///     println!("{}", String::from_utf8_lossy(&reader.read_line().await?));
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.open_unix_connection")]
pub async fn open_unix_connection(
    path: impl AsRef<Path>,
) -> io::Result<(StreamReader<UnixStream>, StreamWriter<UnixStream>)> {
    UnixStream::connect(path).await.map(UnixStream::into_buffered)
}

/// The address of a path, or of the abstract name behind a zero byte.
pub(super) fn address_of(path: &Path) -> io::Result<SocketAddr> {
    let address = match path.as_os_str().as_bytes().split_first() {
        Some((0, name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(path),
    };
    // Escaped, as it may contain a zero byte.
    address.describe(format_args!(
        "use {path:?} as the address of a Unix socket, of at most 107 bytes"
    ))
}

/// An address for messages. Abstract names are written with an `@`, as tools do.
pub(super) fn text_of(address: &SocketAddr) -> String {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => path.display().to_string(),
        (_, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
        (None, None) => "a socket without a name".to_owned(),
    }
}
