//! Listening on Unix sockets.

use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::{fs, io};

use super::stream::{UnixStream, address_of, text_of};
use crate::error::describe;
use crate::net::listener::{self, AcceptQueue, ListenOptions, ListenSocket, Sockets, Spread};
use crate::shards::Shard;
use crate::sys::address::{Address, RawAddress};
use crate::sys::socket::{self, AF_UNIX, SOCK_STREAM};

/// A socket that accepts connections at a path or an abstract name.
///
/// It is used as a [`TcpListener`](crate::net::TcpListener) is, with the same guarantees. The file
/// at the path stays when the listener is dropped: remove it, then or before the next bind.
///
/// # Example
///
/// ```
/// use annulus::net::{UnixListener, UnixStream};
///
/// annulus::run(async {
///     // An abstract name, which leaves no file.
///     let name = format!("\0example-{}", std::process::id());
///     let listener = UnixListener::bind(&name)?;
///     let mut client = UnixStream::connect(&name).await?;
///     let (mut stream, _) = listener.accept().await?;
///     client.write_all("hello").await.0?;
///     assert_eq!(&*stream.recv().await?, b"hello");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixListener {
    pub(super) listener: AcceptQueue<UnixStream>,
}

impl UnixListener {
    /// Listens at a path or at an abstract name.
    ///
    /// A path that begins with a zero byte is an abstract name. For an empty path the kernel
    /// chooses an abstract name, which [`local_addr`](Self::local_addr) returns.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path exists or the name is taken. The text tells the cases apart: a
    /// process listens there; the file is left from an earlier process and may be removed; or it is
    /// not a socket. `NotFound` if the directory does not exist. `InvalidInput` for a path of more
    /// than 107 bytes.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&address_of(path.as_ref())?, &ListenOptions::new())
    }

    /// Like [`bind`](Self::bind), at an address of the standard library, with options.
    ///
    /// Of the options, [`backlog`](ListenOptions::backlog),
    /// [`max_pending`](ListenOptions::max_pending) and [`spread`](ListenOptions::spread) apply to
    /// Unix sockets. [Shards](crate::shards) that listen at the same path or name share one socket,
    /// and each connection goes to the shard with the fewest.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr, options: &ListenOptions) -> io::Result<Self> {
        listen_on(address, options).map_err(|error| {
            let remedy = remedy(address, &error);
            describe(format_args!("listen on {}{remedy}", text_of(address)), error)
        })
    }
}

fn listen_on(address: &SocketAddr, options: &ListenOptions) -> io::Result<UnixListener> {
    let spread = options.spread.unwrap_or(Spread::LeastLoaded);
    let sockets = UnixSockets(address);
    let shard = Shard::try_current().filter(|_| spread != Spread::Private);
    let socket = match shard {
        Some(_) if spread != Spread::LeastLoaded => {
            let text = "shards share a Unix socket by Spread::LeastLoaded only: the kernel does \
                        not spread its connections";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Some(shard) => {
            let name = RawAddress::from(address).decode()?;
            let joined = listener::listen(&shard, &name, spread, options, &sockets)?;
            ListenSocket::joined(joined, options)
        }
        None => {
            let fd = sockets.make()?;
            socket::listen(&fd, options.backlog)?;
            ListenSocket::new(fd, options)
        }
    };
    Ok(UnixListener { listener: AcceptQueue::new(socket) })
}

/// The socket of shards that listen at the same path or name.
struct UnixSockets<'a>(&'a SocketAddr);

impl UnixSockets<'_> {
    fn make(&self) -> io::Result<OwnedFd> {
        let fd = socket::open(AF_UNIX, SOCK_STREAM, 0)?;
        socket::bind(&fd, self.0)?;
        Ok(fd)
    }
}

impl Sockets for UnixSockets<'_> {
    fn bind(&self, _address: &Address, _shares: bool) -> io::Result<OwnedFd> {
        self.make()
    }

    fn is_open_ended(&self) -> bool {
        self.0.is_unnamed()
    }
}

/// What the user may do about an error, if anything. The advice to remove a file is given for
/// sockets only: anything else at the path may be the user's data.
fn remedy(address: &SocketAddr, error: &io::Error) -> &'static str {
    let Some(path) = address.as_pathname() else { return "" };
    let is_other_file = || fs::metadata(path).is_ok_and(|it| !it.file_type().is_socket());
    match error.kind() {
        io::ErrorKind::AddrInUse if is_other_file() => {
            " (the file there is not a socket: choose another path)"
        }
        io::ErrorKind::AddrInUse if is_stale(address) => {
            " (its file is left from a process that has ended: remove it first)"
        }
        io::ErrorKind::NotFound if path.parent().is_some_and(|directory| !directory.exists()) => {
            " (its directory does not exist: create it first)"
        }
        _ => "",
    }
}

/// Whether the file at an address in use is that of a socket that is not open any more.
fn is_stale(address: &SocketAddr) -> bool {
    // A datagram socket never connects to a listener: an open one refuses it as of the wrong type.
    UnixDatagram::unbound()
        .and_then(|probe| probe.connect_addr(address))
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
