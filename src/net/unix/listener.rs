//! Listening on Unix sockets.

use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::{fs, io};

use super::stream::{UnixStream, address_of, text_of};
use crate::error::describe;
use crate::net::listener::{
    self, AcceptQueue, BoundFile, FromAccepted, ListenOptions, ListenSocket, Sockets, Spread,
};
use crate::shards::Shard;
use crate::sys::address::{Address, RawAddress};
use crate::sys::socket::{self, AF_UNIX, SOCK_STREAM};

/// A socket that accepts connections at a path or an abstract name.
///
/// It is used as a [`TcpListener`](crate::net::TcpListener) is, with the same guarantees.
///
/// # The file
///
/// The file at the path is removed when the listener is closed or dropped, unless
/// [`ListenOptions::unlink`] is off; with [shards](crate::shards), when the last of them closes it.
/// It stays if
///
/// - another file or socket is at the path by then: a successor that has replaced the path keeps
///   its own. The kernel cannot compare and remove in one step, so a successor that replaces it at
///   that very moment may lose its file;
/// - the listener was adopted ([`from_std`](Self::from_std), socket activation), handed over to a
///   successor, taken out ([`into_std`](Self::into_std)), or its descriptor was borrowed by `AsFd`
///   or `AsRawFd`: then others may listen on;
/// - this is a process that was forked from the one that bound it;
/// - the process ends at once (`process::exit`, a signal, an abort).
///
/// It is made and removed by calls of this thread, as the standard library would do it: use a
/// directory that is local, such as `/run`.
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
        listen_on(address, options, SOCK_STREAM).map(|listener| Self { listener })
    }
}

/// Listens by sockets of a type.
pub(super) fn listen_on<S: FromAccepted>(
    address: &SocketAddr,
    options: &ListenOptions,
    kind: i32,
) -> io::Result<AcceptQueue<S>> {
    let socket = listen(address, options, kind).map_err(|error| {
        let remedy = remedy(address, &error);
        describe(format_args!("listen on {}{remedy}", text_of(address)), error)
    })?;
    Ok(AcceptQueue::new(socket))
}

fn listen<S: FromAccepted>(
    address: &SocketAddr,
    options: &ListenOptions,
    kind: i32,
) -> io::Result<ListenSocket<S>> {
    let spread = options.spread.unwrap_or(Spread::LeastLoaded);
    let sockets = UnixSockets { address, unlinks: options.unlink, kind };
    let shard = Shard::try_current().filter(|_| spread != Spread::Private);
    Ok(match shard {
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
            let file = sockets.file();
            socket::listen(&fd, options.backlog)?;
            ListenSocket::with_file(fd, options, file)
        }
    })
}

/// The socket of shards that listen at the same path or name.
struct UnixSockets<'a> {
    address: &'a SocketAddr,
    unlinks: bool,
    kind: i32,
}

impl UnixSockets<'_> {
    fn make(&self) -> io::Result<OwnedFd> {
        let fd = socket::open(AF_UNIX, self.kind, 0)?;
        socket::bind(&fd, self.address)?;
        Ok(fd)
    }
}

impl Sockets for UnixSockets<'_> {
    fn bind(&self, _address: &Address, _shares: bool) -> io::Result<OwnedFd> {
        self.make()
    }

    fn file(&self) -> Option<BoundFile> {
        self.address.as_pathname().filter(|_| self.unlinks).and_then(BoundFile::at)
    }

    fn kind(&self) -> i32 {
        self.kind
    }

    fn is_open_ended(&self) -> bool {
        self.address.is_unnamed()
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
