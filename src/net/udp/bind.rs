//! How to make a UDP socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::error::Describe;
use crate::sys::address::domain;
use crate::sys::bypass::datagram::{IPPROTO_UDP, SO_BROADCAST, SOCK_DGRAM};
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
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct UdpOptions {
    reuse_addr: bool,
    reuse_port: bool,
    broadcast: bool,
    v6_only: Option<bool>,
    recv_buffer_size: Option<usize>,
    send_buffer_size: Option<usize>,
}

impl UdpOptions {
    /// The defaults, which each method describes.
    pub const fn new() -> Self {
        Self {
            reuse_addr: false,
            reuse_port: false,
            broadcast: false,
            v6_only: None,
            recv_buffer_size: None,
            send_buffer_size: None,
        }
    }

    /// Sets `SO_REUSEADDR`: whether other sockets that set it may have the same address.
    ///
    /// Off by default. Each of them receives what is sent to a multicast group, and one of them
    /// what is sent to the address itself.
    #[doc(alias = "SO_REUSEADDR")]
    pub const fn reuse_addr(mut self, on: bool) -> Self {
        self.reuse_addr = on;
        self
    }

    /// Sets `SO_REUSEPORT`: whether other sockets of the same user that set it may have the same
    /// address.
    ///
    /// Off by default. The kernel spreads senders over them, so that each shard can have a socket.
    #[doc(alias = "SO_REUSEPORT")]
    pub const fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
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
        self.v6_only = Some(on);
        self
    }

    /// Sets the size of the receive buffer in bytes.
    ///
    /// See [`UdpSocket::set_recv_buffer_size`](super::UdpSocket::set_recv_buffer_size).
    #[doc(alias = "SO_RCVBUF")]
    pub const fn recv_buffer_size(mut self, bytes: usize) -> Self {
        self.recv_buffer_size = Some(bytes);
        self
    }

    /// Sets the size of the send buffer in bytes.
    ///
    /// See [`UdpSocket::set_send_buffer_size`](super::UdpSocket::set_send_buffer_size).
    #[doc(alias = "SO_SNDBUF")]
    pub const fn send_buffer_size(mut self, bytes: usize) -> Self {
        self.send_buffer_size = Some(bytes);
        self
    }

    /// Makes a socket and binds it.
    pub(super) fn bind(&self, address: &SocketAddr) -> io::Result<OwnedFd> {
        self.bound(address).describe(format_args!("bind UDP {address}"))
    }

    fn bound(&self, address: &SocketAddr) -> io::Result<OwnedFd> {
        let fd = socket::open(domain(address), SOCK_DGRAM, IPPROTO_UDP)?;
        let set = |level, name, value| socket::set_option(&fd, level, name, value);
        let flags = [
            (socket::SO_REUSEADDR, self.reuse_addr),
            (socket::SO_REUSEPORT, self.reuse_port),
            (SO_BROADCAST, self.broadcast),
        ];
        for (name, _) in flags.into_iter().filter(|&(_, on)| on) {
            set(socket::SOL_SOCKET, name, 1)?;
        }
        if let Some(v6_only) = self.v6_only.filter(|_| address.is_ipv6()) {
            set(socket::IPPROTO_IPV6, socket::IPV6_V6ONLY, v6_only.into())?;
        }
        let sizes = [
            (socket::SO_RCVBUF, self.recv_buffer_size),
            (socket::SO_SNDBUF, self.send_buffer_size),
        ];
        for (name, bytes) in sizes {
            if let Some(bytes) = bytes {
                set(socket::SOL_SOCKET, name, i32::try_from(bytes).unwrap_or(i32::MAX))?;
            }
        }
        socket::bind(&fd, *address)?;
        Ok(fd)
    }
}
