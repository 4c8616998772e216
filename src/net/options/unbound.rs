//! The options that a socket has before it is bound: those of listeners and of UDP sockets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::option::{SocketOption, Switch};
use super::{RECV_BUFFER_SIZE, SEND_BUFFER_SIZE};
use crate::sys::bypass::datagram::SO_BROADCAST;
use crate::sys::socket::{IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET};

pub(in crate::net) const BROADCAST: SocketOption<Switch> =
    SocketOption::new(SOL_SOCKET, SO_BROADCAST, "broadcast");
pub(in crate::net) const REUSE_ADDR: SocketOption<Switch> =
    SocketOption::new(SOL_SOCKET, SO_REUSEADDR, "address reuse");
pub(in crate::net) const REUSE_PORT: SocketOption<Switch> =
    SocketOption::new(SOL_SOCKET, SO_REUSEPORT, "port reuse");
pub(in crate::net) const V6_ONLY: SocketOption<Switch> =
    SocketOption::new(IPPROTO_IPV6, IPV6_V6ONLY, "IPv6 only");

/// Options that are set before a socket is bound. What is off or `None` is left as it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Unbound {
    pub(in crate::net) reuse_addr: bool,
    pub(in crate::net) reuse_port: bool,
    /// Has no effect on IPv4 sockets.
    pub(in crate::net) v6_only: Option<bool>,
    pub(in crate::net) recv_buffer_size: Option<usize>,
    pub(in crate::net) send_buffer_size: Option<usize>,
}

impl Unbound {
    pub(in crate::net) const fn new(reuse_addr: bool) -> Self {
        Self {
            reuse_addr,
            reuse_port: false,
            v6_only: None,
            recv_buffer_size: None,
            send_buffer_size: None,
        }
    }

    /// Sets them on a socket that is to be bound to the address.
    pub(in crate::net) fn set(&self, fd: &OwnedFd, address: &SocketAddr) -> io::Result<()> {
        for (option, on) in [(REUSE_ADDR, self.reuse_addr), (REUSE_PORT, self.reuse_port)] {
            if on {
                option.set(fd, true)?;
            }
        }
        if let Some(v6_only) = self.v6_only.filter(|_| address.is_ipv6()) {
            V6_ONLY.set(fd, v6_only)?;
        }
        let sizes =
            [(RECV_BUFFER_SIZE, self.recv_buffer_size), (SEND_BUFFER_SIZE, self.send_buffer_size)];
        for (option, size) in sizes {
            size.map_or(Ok(()), |bytes| option.set(fd, bytes))?;
        }
        Ok(())
    }
}
