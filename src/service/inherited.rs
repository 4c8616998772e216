//! Sockets that this process was started with.

use std::env;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process;
use std::sync::{Mutex, PoisonError};

use super::environment::{self, Given, HAND_OVER, wrong};
use super::predecessor;
use crate::net::{TcpListener, UnixListener, UnixSeqpacketListener};
use crate::sys::inherited::{Inheritance, inheritance, inode, take_over};
use crate::sys::socket::{
    AF_INET, AF_INET6, AF_UNIX, IPPROTO_MPTCP, IPPROTO_TCP, SO_ACCEPTCONN, SO_DOMAIN, SO_PROTOCOL,
    SO_TYPE, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, option,
};

/// Whether the sockets have been taken.
static TAKEN: Mutex<bool> = Mutex::new(false);

/// Takes the sockets that this process was started with.
///
/// They are those of a predecessor that [hands over](fn@super::hand_over), or else those of
/// systemd's socket activation (`LISTEN_FDS`), in their order. A process that was started otherwise
/// has none: the list is empty, and it binds its own.
///
/// The sockets can be taken once, by any thread. They are close-on-exec from then on. The
/// environment stays as it is, since other threads may be reading it; programs that this process
/// starts do not take the variables for theirs, which name this process or its sockets.
///
/// A socket that is dropped is closed, and clients that wait for it are reset: listen on all of
/// them, also if they are more than the shards of this process. A server may have
/// [several](crate::net::start_server_on).
///
/// # Errors
///
/// - `AlreadyExists` if they have been taken before.
/// - `InvalidData` if a variable has a value that neither systemd nor a predecessor writes, or if a
///   descriptor is not open or not an inherited one. No socket has been taken then.
///
/// # Example
///
/// ```
/// use annulus::net::{ServerOptions, StreamReader, StreamWriter, TcpListener, start_server_on};
/// use annulus::service;
///
/// annulus::run(async {
///     let mut listeners = Vec::new();
///     for socket in service::listeners()? {
///         listeners.push(socket.into_tcp_listener()?);
///     }
///     if listeners.is_empty() {
///         listeners.push(TcpListener::bind("127.0.0.1:0").await?);
///     }
///     let greet = async |_: StreamReader, mut writer: StreamWriter| writer.write("hello\n").await;
///     let _server = start_server_on(greet, listeners, &ServerOptions::new())?;
///     service::ready()?;
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "sd_listen_fds")]
#[doc(alias = "LISTEN_FDS")]
pub fn listeners() -> io::Result<Vec<InheritedSocket>> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if *taken {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the inherited sockets have been taken before: call `service::listeners` once, and \
             pass on what it returns",
        ));
    }
    if let Some((channel, sockets)) = from_predecessor()? {
        let channel = take_over(channel.fd)?;
        let sockets = sockets.into_iter().map(InheritedSocket::take).collect::<io::Result<_>>()?;
        predecessor::met(channel.into());
        *taken = true;
        return Ok(sockets);
    }
    let given = environment::activation(process::id(), |name| env::var_os(name))?;
    given.iter().try_for_each(check)?;
    *taken = !given.is_empty();
    given.into_iter().map(InheritedSocket::take).collect()
}

/// Whether a predecessor's sockets have not been taken yet.
pub(super) fn are_left() -> io::Result<bool> {
    let taken = *TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(!taken && from_predecessor()?.is_some())
}

/// The socket on which to report to the predecessor, and those that it hands over; `None` if this
/// process has no predecessor.
fn from_predecessor() -> io::Result<Option<(Given, Vec<Given>)>> {
    let Some(text) = env::var_os(HAND_OVER) else { return Ok(None) };
    let mut given = environment::handed_over(&text)?.into_iter();
    let Some(channel) = given.next() else { return Ok(None) };
    // The variable is also seen by what a successor starts, where the numbers mean other things.
    if !is_as_given(&channel) {
        return Ok(None);
    }
    let sockets: Vec<_> = given.collect();
    sockets.iter().try_for_each(check)?;
    Ok(Some((channel, sockets)))
}

fn is_as_given(given: &Given) -> bool {
    inheritance(given.fd) == Inheritance::Inherited
        && given.inode.is_none_or(|expected| inode(given.fd) == Some(expected))
}

fn check(given: &Given) -> io::Result<()> {
    if is_as_given(given) {
        return Ok(());
    }
    let Given { fd, name, .. } = given;
    let fault = match inheritance(*fd) {
        Inheritance::Closed => "is not open",
        Inheritance::Own => "was opened by this process itself",
        Inheritance::Inherited => "is another one than was handed over",
    };
    Err(wrong(format!("cannot take over descriptor {fd} ({name:?}): it {fault}")))
}

/// A socket that this process was started with.
///
/// It may be sent to another thread, to be listened on there.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, UnixListener};
/// use annulus::service::{self, SocketKind};
///
/// annulus::run(async {
///     let (mut clients, mut admin) = (Vec::<TcpListener>::new(), Vec::<UnixListener>::new());
///     for socket in service::listeners()? {
///         if socket.kind() == SocketKind::UnixListener && socket.name() == "admin" {
///             admin.push(socket.into_unix_listener()?);
///         } else {
///             clients.push(socket.into_tcp_listener()?);
///         }
///     }
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a socket that is dropped is closed, and clients that wait for it are reset"]
pub struct InheritedSocket {
    fd: OwnedFd,
    name: String,
    kind: SocketKind,
}

/// What an inherited socket is.
///
/// # Example
///
/// ```
/// use annulus::service::{self, SocketKind};
///
/// for socket in service::listeners()? {
///     match socket.kind() {
///         SocketKind::TcpListener | SocketKind::UnixListener => println!("{}", socket.name()),
///         kind => println!("{} is not served: {kind:?}", socket.name()),
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketKind {
    /// A listener for TCP connections, over IPv4 or IPv6. Also one for MPTCP.
    TcpListener,
    /// A listener for connections of Unix stream sockets.
    UnixListener,
    /// A listener for connections of Unix sockets with messages (`ListenSequentialPacket=`).
    UnixSeqpacketListener,
    /// Something else, such as a datagram socket, a connection or a FIFO.
    Other,
}

impl SocketKind {
    fn of(fd: &OwnedFd) -> Self {
        // What is not a socket has none of these.
        let option = |name| option(fd, SOL_SOCKET, name).unwrap_or(-1);
        if option(SO_ACCEPTCONN) != 1 {
            return Self::Other;
        }
        match (option(SO_DOMAIN), option(SO_TYPE), option(SO_PROTOCOL)) {
            (AF_INET | AF_INET6, SOCK_STREAM, IPPROTO_TCP | IPPROTO_MPTCP) => Self::TcpListener,
            (AF_UNIX, SOCK_STREAM, _) => Self::UnixListener,
            (AF_UNIX, SOCK_SEQPACKET, _) => Self::UnixSeqpacketListener,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for SocketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcpListener => "a TCP listener",
            Self::UnixListener => "a Unix listener",
            Self::UnixSeqpacketListener => "a Unix listener for messages",
            Self::Other => "neither a TCP nor a Unix listener",
        })
    }
}

impl InheritedSocket {
    fn take(given: Given) -> io::Result<Self> {
        let fd = take_over(given.fd)?;
        let kind = SocketKind::of(&fd);
        Ok(Self { fd, name: given.name, kind })
    }

    /// The name that it was given: `FileDescriptorName=` in a socket unit, or that of
    /// [`ListeningSockets::add`](super::ListeningSockets::add). Several may have the same.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn kind(&self) -> SocketKind {
        self.kind
    }

    /// Converts it to a listener, on the runtime of this thread.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is not a [TCP listener](SocketKind::TcpListener). It is closed then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn into_tcp_listener(self) -> io::Result<TcpListener> {
        self.into_fd(SocketKind::TcpListener).map(TcpListener::from)
    }

    /// Converts it to a listener, on the runtime of this thread.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is not a [Unix listener](SocketKind::UnixListener). It is closed then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn into_unix_listener(self) -> io::Result<UnixListener> {
        self.into_fd(SocketKind::UnixListener).map(UnixListener::from)
    }

    /// Converts it to a listener, on the runtime of this thread.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is not a [listener for
    /// messages](SocketKind::UnixSeqpacketListener). It is closed then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn into_unix_seqpacket_listener(self) -> io::Result<UnixSeqpacketListener> {
        self.into_fd(SocketKind::UnixSeqpacketListener).map(UnixSeqpacketListener::from)
    }

    fn into_fd(self, expected: SocketKind) -> io::Result<OwnedFd> {
        if self.kind == expected {
            return Ok(self.fd);
        }
        let (fd, Self { name, kind, .. }) = (self.as_raw_fd(), &self);
        let fault =
            format!("inherited socket {name:?} (descriptor {fd}) is {kind}, not {expected}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, fault))
    }
}

/// The socket, whatever its kind.
impl From<InheritedSocket> for OwnedFd {
    fn from(socket: InheritedSocket) -> Self {
        socket.fd
    }
}

impl AsFd for InheritedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for InheritedSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
