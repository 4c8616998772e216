//! A UDP socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::UdpOptions;
use crate::buf::{BufResult, IoBuf};
use crate::error::Describe;
use crate::net::datagram::core::{DatagramCore, datagram};
use crate::net::datagram::methods::{datagram_methods, datagram_traits};
use crate::net::datagram::{Datagram, SendMany, SendOptions};
use crate::net::{ToAddresses, lookup};
use crate::op::Family;
use crate::sys::address::RawAddress;
use crate::sys::bypass::datagram::{connect, dropped};
use crate::sys::control::SentControl;
use crate::sys::socket::{AF_INET6, SO_DOMAIN, SOL_SOCKET, option};

/// A UDP socket, on the thread of its runtime.
///
/// All methods take `&self`: several tasks of the thread may share a socket (behind an `Rc`).
///
/// # Example
///
/// ```
/// use annulus::net::UdpSocket;
///
/// annulus::run(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.connect(server.local_addr()?).await?;
///
///     client.send("ping").await.0?;
///     let datagram = server.recv_msg().await?;
///     assert_eq!(&*datagram, b"ping");
///     let from = *datagram.address();
///     server.send_to(datagram.into_lease(), from).await.0?;
///
///     let (length, buffer) = client.recv(vec![0; 1500]).await.into_result()?;
///     assert_eq!(&buffer[..length], b"ping");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.loop.create_datagram_endpoint")]
pub struct UdpSocket {
    pub(super) core: Rc<DatagramCore>,
}

datagram_traits!(UdpSocket, std::net::UdpSocket, SocketAddr);

impl UdpSocket {
    datagram_methods!(SocketAddr);

    /// How many datagrams one call sends or receives at most by [GSO](SendOptions::segment_size)
    /// and [GRO](Self::set_gro).
    #[doc(alias = "UDP_MAX_SEGMENTS")]
    pub const MAX_SEGMENTS: usize = 64;

    /// Binds a socket to the first of the addresses that can be had.
    ///
    /// With port zero the system chooses one.
    ///
    /// # Errors
    ///
    /// Those of [`lookup`], or that of the last address: `AddrInUse` if another socket has it,
    /// `AddrNotAvailable` if it is not one of this machine.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no socket remains.
    pub async fn bind(addresses: impl ToAddresses) -> io::Result<Self> {
        Self::bind_with(addresses, &UdpOptions::new()).await
    }

    /// Binds a socket as [`bind`](Self::bind) does, with options.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind), and the kernel's if it refuses an option.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no socket remains.
    pub async fn bind_with(addresses: impl ToAddresses, options: &UdpOptions) -> io::Result<Self> {
        let mut last = None;
        for address in lookup(addresses).await? {
            match options.bind(&address) {
                Ok(fd) => return Ok(Self::adopt(fd, address.is_ipv6())),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a look-up gives at least one address"))
    }

    fn adopt(fd: OwnedFd, is_ipv6: bool) -> Self {
        let family = if is_ipv6 { Family::V6 } else { Family::V4 };
        Self { core: DatagramCore::adopt(fd, family) }
    }

    /// Takes over a socket of the standard library.
    ///
    /// It may be blocking or not.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn from_std(socket: std::net::UdpSocket) -> Self {
        let fd = OwnedFd::from(socket);
        let is_ipv6 = option(&fd, SOL_SOCKET, SO_DOMAIN).is_ok_and(|domain| domain == AF_INET6);
        Self::adopt(fd, is_ipv6)
    }

    /// Takes the socket out of the runtime, once dropped operations have ended.
    ///
    /// Returns it with what dropped receives and [`recv_many`](Self::recv_many) had received and no
    /// task has: that comes before what the socket will receive. The socket is blocking unless it
    /// was made otherwise.
    ///
    /// # Errors
    ///
    /// If a forgotten operation still uses the descriptor, and the process has no more.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the socket is closed.
    pub async fn into_std(self) -> io::Result<(std::net::UdpSocket, Vec<Datagram>)> {
        let (fd, kept) = self.core.take_apart().await?;
        let kept = kept.into_iter().map(|arrived| datagram(Ok(arrived))).collect::<Result<_, _>>();
        Ok((fd.into(), kept?))
    }

    /// Sets the peer: [`send`](Self::send) sends to it, and only what it sends is received from now
    /// on.
    ///
    /// Nothing is sent by that. Of several addresses the first that can be reached is taken. What
    /// others had sent before may still be received.
    ///
    /// # Errors
    ///
    /// Those of [`lookup`], or that of the last address: `NetworkUnreachable` if there is no route.
    ///
    /// # Cancel safety
    ///
    /// Dropped while a name is looked up, the peer stays the same.
    pub async fn connect(&self, addresses: impl ToAddresses) -> io::Result<()> {
        let mut last = None;
        for address in lookup(addresses).await? {
            let fd = self.core.socket().fd()?;
            match connect(fd, address).describe(format_args!("connect UDP to {address}")) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a look-up gives at least one address"))
    }

    /// Sends a datagram to an address.
    ///
    /// Returns how many bytes it has, and the buffer. Waits while the socket has no room. Names are
    /// looked up by [`lookup`].
    ///
    /// # Errors
    ///
    /// EMSGSIZE if the datagram is too long, `NetworkUnreachable` if there is no route,
    /// `PermissionDenied` for a broadcast address without [`set_broadcast`](Self::set_broadcast).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the datagram is sent as a whole or not at all.
    #[doc(alias = "asyncio.DatagramTransport.sendto")]
    pub fn send_to<B: IoBuf, A: Into<SocketAddr>>(
        &self,
        buffer: B,
        address: A,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B, A> {
        let address = RawAddress::from(address.into());
        self.core.send(buffer, Some(&address), &SentControl::default())
    }

    /// Sends a datagram with options, or several of one size by one call.
    ///
    /// For several, set [`SendOptions::segment_size`].
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to). `InvalidInput` where the kernel cannot do what an option
    /// says; with a segment size also if there are more than
    /// [`MAX_SEGMENTS`](Self::MAX_SEGMENTS) segments, or one does not fit into a packet.
    ///
    /// # Cancel safety
    ///
    /// Dropped, all is sent or nothing.
    #[doc(alias = "sendmsg")]
    pub fn send_msg<B: IoBuf>(
        &self,
        buffer: B,
        options: &SendOptions,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.core.send(buffer, options.raw_address().as_ref(), options.control())
    }

    /// Sends several datagrams by one submission, and returns the result of each.
    ///
    /// They are sent in order as long as the socket has room; those that have to wait for it may be
    /// overtaken by others. To one address, datagrams of one size are sent faster by one call of
    /// [`send_msg`](Self::send_msg).
    ///
    /// # Cancel safety
    ///
    /// Dropped, each datagram is sent as a whole or not at all.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::UdpSocket;
    ///
    /// annulus::run(async {
    ///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let address = socket.local_addr()?;
    ///     let sent = socket.send_many([("one", address), ("two", address)]).await;
    ///     assert!(sent.iter().all(|result| result.is_ok()));
    ///     assert_eq!(&*socket.recv_msg().await?, b"one");
    ///     assert_eq!(&*socket.recv_msg().await?, b"two");
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "sendmmsg")]
    pub fn send_many<B: IoBuf>(
        &self,
        datagrams: impl IntoIterator<Item = (B, SocketAddr)>,
    ) -> SendMany<B> {
        SendMany::new(datagrams.into_iter().map(|(buffer, address)| {
            let address = RawAddress::from(address);
            self.core.send(buffer, Some(&address), &SentControl::default())
        }))
    }

    /// Sends a datagram to an address at once.
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to). `WouldBlock` as for [`try_send`](Self::try_send).
    pub fn try_send_to(&self, bytes: &[u8], address: impl Into<SocketAddr>) -> io::Result<usize> {
        let address = RawAddress::from(address.into());
        self.core.socket().try_send(bytes, Some(&address), &SentControl::default())
    }

    /// Sends a datagram with options at once.
    ///
    /// # Errors
    ///
    /// As for [`send_msg`](Self::send_msg). `WouldBlock` as for [`try_send`](Self::try_send).
    pub fn try_send_msg(&self, bytes: &[u8], options: &SendOptions) -> io::Result<usize> {
        let address = options.raw_address();
        self.core.socket().try_send(bytes, address.as_ref(), options.control())
    }

    /// Polls a send of a datagram to an address.
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        address: impl Into<SocketAddr>,
    ) -> Poll<io::Result<usize>> {
        let address = RawAddress::from(address.into());
        self.core.socket().poll_send(context, bytes, Some(&address), &SentControl::default())
    }

    /// Polls a send of a datagram with options.
    ///
    /// # Errors
    ///
    /// As for [`send_msg`](Self::send_msg).
    pub fn poll_send_msg(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        options: &SendOptions,
    ) -> Poll<io::Result<usize>> {
        let address = options.raw_address();
        self.core.socket().poll_send(context, bytes, address.as_ref(), options.control())
    }

    /// Returns how many datagrams the kernel has dropped at this socket.
    ///
    /// It drops those for which the receive buffer has no room, and those that are damaged.
    ///
    /// # Errors
    ///
    /// The kernel's.
    #[doc(alias = "SO_RXQ_OVFL")]
    #[doc(alias = "SO_MEMINFO")]
    pub fn dropped(&self) -> io::Result<u32> {
        dropped(self.core.socket().fd()?).describe("get the number of dropped datagrams")
    }
}
