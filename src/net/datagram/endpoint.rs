//! asyncio's datagram endpoint: a UDP socket that one call makes, binds and connects.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::meta::Datagram;
use crate::buf::{BufResult, IoBuf};
use crate::net::udp::UdpSocket;
use crate::net::{ToAddresses, lookup};

/// A UDP socket as asyncio's datagram transport and protocol are, in one object.
///
/// Made by [`datagram_endpoint`] and [`open_datagram_endpoint`]. It is a view of a [`UdpSocket`],
/// which [`socket`](Self::socket) returns: that has the options, and more ways to send and receive.
/// Several tasks may share it behind an `Rc`, such as one that receives and one that sends.
#[derive(Debug)]
#[doc(alias = "asyncio.DatagramTransport")]
#[doc(alias = "asyncio.DatagramProtocol")]
pub struct DatagramEndpoint {
    socket: UdpSocket,
}

/// Makes an endpoint that receives at an address, as a server does.
///
/// # Errors
///
/// As for [`UdpSocket::bind`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, no socket remains.
///
/// # Example
///
/// ```
/// use annulus::net::{datagram_endpoint, open_datagram_endpoint};
///
/// annulus::run(async {
///     let server = datagram_endpoint("127.0.0.1:0").await?;
///     let client = open_datagram_endpoint(server.local_addr()?).await?;
///     client.send("ping").await.0?;
///     let datagram = server.recv().await?;
///     server.send_to("pong", *datagram.address()).await.0?;
///     assert_eq!(&*client.recv().await?, b"pong");
///     client.close().await;
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.loop.create_datagram_endpoint")]
pub async fn datagram_endpoint(local: impl ToAddresses) -> io::Result<DatagramEndpoint> {
    UdpSocket::bind(local).await.map(|socket| DatagramEndpoint { socket })
}

/// Makes an endpoint that sends to an address and receives from it, as a client does.
///
/// The first of several addresses that can be reached is taken.
///
/// # Errors
///
/// As for [`UdpSocket::connect`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, no socket remains.
#[doc(alias = "asyncio.loop.create_datagram_endpoint")]
pub async fn open_datagram_endpoint(remote: impl ToAddresses) -> io::Result<DatagramEndpoint> {
    let mut last = None;
    for address in lookup(remote).await? {
        match connected(address).await {
            Ok(socket) => return Ok(DatagramEndpoint { socket }),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("a look-up gives at least one address"))
}

async fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    Ok(socket)
}

impl DatagramEndpoint {
    /// Receives the next datagram.
    ///
    /// # Errors
    ///
    /// As for [`UdpSocket::recv_msg`]: what asyncio tells `error_received`. The endpoint can be
    /// used on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing.
    #[doc(alias = "datagram_received")]
    #[doc(alias = "error_received")]
    pub fn recv(&self) -> impl Future<Output = io::Result<Datagram>> + use<> {
        self.socket.recv_msg()
    }

    /// Sends a datagram to the endpoint's peer.
    ///
    /// # Errors
    ///
    /// As for [`UdpSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the datagram is sent as a whole or not at all.
    #[doc(alias = "sendto")]
    pub fn send<B: IoBuf>(&self, buffer: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.socket.send(buffer)
    }

    /// Sends a datagram to an address.
    ///
    /// # Errors
    ///
    /// As for [`UdpSocket::send_to`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the datagram is sent as a whole or not at all.
    #[doc(alias = "sendto")]
    pub fn send_to<B: IoBuf>(
        &self,
        buffer: B,
        address: SocketAddr,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.socket.send_to(buffer, address)
    }

    /// Returns this end's address.
    ///
    /// # Errors
    ///
    /// The kernel's.
    #[doc(alias = "get_extra_info")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the endpoint has none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Returns the socket.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Returns the socket, for all that it can do.
    pub fn into_socket(self) -> UdpSocket {
        self.socket
    }

    /// Closes the endpoint; see [`UdpSocket::close`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the endpoint is closed.
    pub async fn close(self) {
        self.socket.close().await;
    }
}
