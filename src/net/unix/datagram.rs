//! Datagrams of Unix sockets.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::rc::Rc;

use super::stream::{address_of, text_of};
use crate::buf::{BufResult, IoBuf};
use crate::error::Describe;
use crate::net::Datagram;
use crate::net::datagram::core::{DatagramCore, datagram};
use crate::net::datagram::methods::{datagram_methods, datagram_traits};
use crate::op::Family;
use crate::sys::address::RawAddress;
use crate::sys::bypass::datagram::{SOCK_DGRAM, connect};
use crate::sys::control::SentControl;
use crate::sys::socket::{self, AF_UNIX};

/// A Unix socket with datagrams, on the thread of its runtime.
///
/// Datagrams arrive in order and none is dropped: a sender waits while the receiver's queue is
/// full. All methods take `&self`: several tasks of the thread may share a socket (behind an `Rc`).
///
/// It takes no descriptors that peers pass. The kernel refuses such datagrams, and their sender
/// gets `PermissionDenied` (Linux 6.16); before, it closes what they pass on the thread that
/// receives them. That takes as long as the peer likes if it passes a socket that lingers: so on
/// such a kernel, set the permissions of the path as for one that is trusted. To receive
/// descriptors, use a [`UnixStream`](super::UnixStream).
///
/// # Example
///
/// ```
/// use annulus::net::UnixDatagram;
///
/// annulus::run(async {
///     let (near, far) = UnixDatagram::pair()?;
///     near.send("one datagram").await.0?;
///     assert_eq!(&*far.recv_msg().await?, b"one datagram");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnixDatagram {
    core: Rc<DatagramCore>,
}

datagram_traits!(UnixDatagram, net::UnixDatagram, SocketAddr);

impl UnixDatagram {
    datagram_methods!(SocketAddr);

    /// Binds a socket to a path or to an abstract name.
    ///
    /// A path that begins with a zero byte is an abstract name. The file at a path is not removed
    /// when the socket is closed.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if there is a file at the path, `NotFound` if its directory does not exist, and
    /// `InvalidInput` for a path of more than 107 bytes.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&address_of(path.as_ref())?)
    }

    /// As [`bind`](Self::bind), to an address of the standard library.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let core = DatagramCore::adopt(open().describe("socket")?, Family::Unix);
        let bound = socket::bind(core.socket().fd()?, address);
        bound.describe(format_args!("bind {}", text_of(address))).map(|()| Self { core })
    }

    /// Makes a socket without a name, which can send, and receive once it is connected.
    ///
    /// # Errors
    ///
    /// If descriptors have run out.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn unbound() -> io::Result<Self> {
        let fd = open().describe("socket")?;
        Ok(Self { core: DatagramCore::adopt(fd, Family::Unix) })
    }

    /// Makes two sockets that are connected to each other.
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
        let (near, far) = net::UnixDatagram::pair().describe("socketpair")?;
        Ok((Self::from_std(near), Self::from_std(far)))
    }

    /// Takes over a socket of the standard library.
    ///
    /// It may be blocking or not.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn from_std(socket: net::UnixDatagram) -> Self {
        Self { core: DatagramCore::adopt(OwnedFd::from(socket), Family::Unix) }
    }

    /// Takes the socket out of the runtime, once dropped operations have ended.
    ///
    /// Returns it with what dropped receives and [`recv_many`](Self::recv_many) had received and no
    /// task has: that comes before what the socket will receive.
    ///
    /// # Errors
    ///
    /// If a forgotten operation still uses the descriptor, and the process has no more.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the socket is closed.
    pub async fn into_std(self) -> io::Result<(net::UnixDatagram, Vec<Datagram<SocketAddr>>)> {
        let (fd, kept) = self.core.take_apart().await?;
        let kept = kept.into_iter().map(|arrived| datagram(Ok(arrived))).collect::<Result<_, _>>();
        Ok((fd.into(), kept?))
    }

    /// Sets the peer, at a path or at an abstract name: [`send`](Self::send) sends to it, and only
    /// what it sends is received from now on.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such path, `ConnectionRefused` if no socket is bound to it.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&address_of(path.as_ref())?)
    }

    /// As [`connect`](Self::connect), to an address of the standard library.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        let fd = self.core.socket().fd()?;
        connect(fd, address).describe(format_args!("connect to {}", text_of(address)))
    }

    /// Sends a datagram to the socket at a path or at an abstract name.
    ///
    /// Waits while its queue is full. The kernel does not tell when a receiver that is not the
    /// socket's peer has room: so the send is tried again after pauses of 1 to 50 ms. A socket that
    /// is [connected](Self::connect) needs none.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such path, `ConnectionRefused` if no socket is bound to it,
    /// EMSGSIZE if the datagram is longer than the send buffer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the datagram is sent as a whole or not at all.
    pub async fn send_to<B: IoBuf>(
        &self,
        buffer: B,
        path: impl AsRef<Path>,
    ) -> BufResult<usize, B> {
        match address_of(path.as_ref()) {
            Ok(address) => self.send_to_addr(buffer, &address).await,
            Err(error) => BufResult(Err(error), buffer),
        }
    }

    /// As [`send_to`](Self::send_to), to an address of the standard library.
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    ///
    /// # Cancel safety
    ///
    /// As for [`send_to`](Self::send_to).
    pub fn send_to_addr<B: IoBuf>(
        &self,
        buffer: B,
        address: &SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.core.send(buffer, Some(&RawAddress::from(address)), &SentControl::default())
    }

    /// Sends a datagram to the socket at a path or at an abstract name at once.
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to). `WouldBlock` if its queue is full, or if this task or
    /// this turn of the event loop has made many calls already.
    pub fn try_send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let address = RawAddress::from(&address_of(path.as_ref())?);
        self.core.socket().try_send(bytes, Some(&address), &SentControl::default())
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is no peer.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        socket::shutdown(self.core.socket().fd()?, how).describe("shutdown")
    }
}

/// A new socket, which is not bound.
fn open() -> io::Result<OwnedFd> {
    socket::open(AF_UNIX, SOCK_DGRAM, 0)
}
