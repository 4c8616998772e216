//! Listening on Unix sockets.

use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::{fs, io};

use super::stream::{UnixStream, address_of, text_of};
use crate::error::describe;
use crate::net::listener::{ListenOptions, ListenSocket};
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
///     let mut listener = UnixListener::bind(&name)?;
///     let mut client = UnixStream::connect(&name).await?;
///     let (mut stream, _) = listener.accept().await?;
///     client.write_all("hello").await.0?;
///     assert_eq!(&*stream.recv().await?, b"hello");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixListener {
    pub(super) listener: ListenSocket<UnixStream>,
}

impl UnixListener {
    /// Listens at a path or at an abstract name.
    ///
    /// A path that begins with a zero byte is an abstract name.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path exists or the name is taken. The error tells if no process listens
    /// there: the file is left from an earlier one, and may be removed. `InvalidInput` for a path
    /// of more than 107 bytes.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&address_of(path.as_ref())?, &ListenOptions::new())
    }

    /// Like [`bind`](Self::bind), at an address of the standard library, with options.
    ///
    /// Of the options, [`backlog`](ListenOptions::backlog) and
    /// [`max_pending`](ListenOptions::max_pending) apply to Unix sockets.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr, options: &ListenOptions) -> io::Result<Self> {
        let listening = socket::open(AF_UNIX, SOCK_STREAM, 0).and_then(|fd| {
            socket::bind(&fd, address)?;
            socket::listen(&fd, options.backlog)?;
            Ok(fd)
        });
        match listening {
            Ok(fd) => Ok(Self { listener: ListenSocket::new(fd, options) }),
            Err(error) => {
                let remedy = if is_stale(address, &error) {
                    " (its file is left from a process that has ended: remove it first)"
                } else {
                    ""
                };
                Err(describe(format_args!("listen on {}{remedy}", text_of(address)), error))
            }
        }
    }
}

/// Whether an address is in use by the file of a socket that is not open any more.
fn is_stale(address: &SocketAddr, error: &io::Error) -> bool {
    let is_socket = |path| fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
    // A file of any other type refuses a connection as a dead socket does. A datagram socket never
    // connects to a listener: an open one refuses it as of the wrong type.
    error.kind() == io::ErrorKind::AddrInUse
        && address.as_pathname().is_some_and(is_socket)
        && UnixDatagram::unbound()
            .and_then(|probe| probe.connect_addr(address))
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
