//! How to make a UDP socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::error::Describe;
use crate::net::options::unbound::{BROADCAST, Unbound};
use crate::sys::address::domain;
use crate::sys::bypass::datagram::{IPPROTO_UDP, SOCK_DGRAM};
use crate::sys::socket;

/// How to make a UDP socket; see [`UdpSocket::bind_with`](super::UdpSocket::bind_with).
///
/// # Example
///
/// ```
/// use annulus::net::{UdpOptions, UdpSocket};
///
/// annulus::run(async {
///     let options = UdpOptions::new().reuse_port(true).recv_buffer_size(1 << 20);
///     UdpSocket::bind_with("127.0.0.1:0", &options).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct UdpOptions {
    unbound: Unbound,
    broadcast: bool,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl UdpOptions {
    /// The defaults, which each method describes.
    pub const fn new() -> Self {
        Self { unbound: Unbound::new(false), broadcast: false }
    }

    /// Sets `SO_REUSEADDR`: whether other sockets that set it may have the same address.
    ///
    /// Off by default. Each of them receives what is sent to a multicast group, and one of them
    /// what is sent to the address itself.
    #[doc(alias = "SO_REUSEADDR")]
    pub const fn reuse_addr(mut self, on: bool) -> Self {
        self.unbound.reuse_addr = on;
        self
    }

    /// Sets `SO_REUSEPORT`: whether other sockets of the same user that set it may have the same
    /// address.
    ///
    /// Off by default. The kernel spreads senders over them, so that each shard can have a socket.
    #[doc(alias = "SO_REUSEPORT")]
    pub const fn reuse_port(mut self, on: bool) -> Self {
        self.unbound.reuse_port = on;
        self
    }

    /// Sets `SO_BROADCAST`: whether datagrams may be sent to broadcast addresses.
    ///
    /// Off by default.
    #[doc(alias = "SO_BROADCAST")]
    pub const fn broadcast(mut self, on: bool) -> Self {
        self.broadcast = on;
        self
    }

    /// Sets `IPV6_V6ONLY`: whether an IPv6 socket leaves IPv4 to others.
    ///
    /// The system's default is off: a socket bound to `[::]` receives IPv4, too, from addresses
    /// like `::ffff:127.0.0.1`.
    #[doc(alias = "IPV6_V6ONLY")]
    pub const fn v6_only(mut self, on: bool) -> Self {
        self.unbound.v6_only = Some(on);
        self
    }

    /// Sets the size of the receive buffer in bytes.
    ///
    /// See [`UdpSocket::set_recv_buffer_size`](super::UdpSocket::set_recv_buffer_size).
    #[doc(alias = "SO_RCVBUF")]
    pub const fn recv_buffer_size(mut self, bytes: usize) -> Self {
        self.unbound.recv_buffer_size = Some(bytes);
        self
    }

    /// Sets the size of the send buffer in bytes.
    ///
    /// See [`UdpSocket::set_send_buffer_size`](super::UdpSocket::set_send_buffer_size).
    #[doc(alias = "SO_SNDBUF")]
    pub const fn send_buffer_size(mut self, bytes: usize) -> Self {
        self.unbound.send_buffer_size = Some(bytes);
        self
    }

    /// Makes a socket and binds it.
    pub(super) fn bind(&self, address: &SocketAddr) -> io::Result<OwnedFd> {
        self.bound(address).describe(format_args!("bind UDP {address}"))
    }

    fn bound(&self, address: &SocketAddr) -> io::Result<OwnedFd> {
        let fd = socket::open(domain(address), SOCK_DGRAM, IPPROTO_UDP)?;
        self.unbound.set(&fd, address)?;
        if self.broadcast {
            BROADCAST.set(&fd, true)?;
        }
        socket::bind(&fd, *address)?;
        Ok(fd)
    }
}
