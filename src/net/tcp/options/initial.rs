//! Options that a connection has from its beginning.

use std::io;
use std::os::fd::OwnedFd;

use super::keepalive::Keepalive;
use super::names::NODELAY;
use crate::net::options::option::Setting;

/// Options that are set before a connection begins. An accepted one inherits them of its listener.
#[derive(Clone, Debug, Default)]
pub(in crate::net) struct Initial {
    pub(in crate::net) nodelay: Option<bool>,
    pub(in crate::net) keepalive: Option<Keepalive>,
    others: Vec<Setting>,
}

impl Initial {
    pub(in crate::net) const fn new() -> Self {
        Self { nodelay: None, keepalive: None, others: Vec::new() }
    }

    /// Adds an option; the last of the same name counts.
    pub(in crate::net) fn add(&mut self, setting: Setting) {
        self.others.push(setting);
    }

    /// Each of them.
    pub(in crate::net) fn each(&self) -> impl Iterator<Item = Setting> + '_ {
        let nodelay = self.nodelay.map(|on| NODELAY.setting(on));
        let keepalive = self.keepalive.into_iter().flat_map(Keepalive::settings);
        nodelay.into_iter().chain(keepalive).chain(self.others.iter().copied())
    }

    /// Sets them.
    pub(in crate::net) fn set(&self, fd: &OwnedFd) -> io::Result<()> {
        self.each().try_for_each(|setting| setting.set(fd))
    }
}

/// Methods of options that have an [`Initial`] in their field `initial`.
macro_rules! initial_option_methods {
    () => {
        /// Sets `TCP_NODELAY`, from the beginning of the connection.
        ///
        /// By default it is on for [`start_server`](crate::net::start_server) and
        /// [`open_connection`](crate::net::open_connection), and off, which is the system's
        /// default, for others. See
        /// [`TcpStream::set_nodelay`](crate::net::TcpStream::set_nodelay).
        #[doc(alias = "TCP_NODELAY")]
        pub const fn nodelay(mut self, on: bool) -> Self {
            self.initial.nodelay = Some(on);
            self
        }

        /// Sets how the kernel probes silent peers.
        ///
        /// By default it does not. A server then keeps a connection whose peer has vanished until
        /// its handler gives up. See
        /// [`TcpStream::set_keepalive`](crate::net::TcpStream::set_keepalive).
        #[doc(alias = "SO_KEEPALIVE")]
        pub const fn keepalive(mut self, keepalive: $crate::net::Keepalive) -> Self {
            self.initial.keepalive = Some(keepalive);
            self
        }

        $crate::net::tcp::initial_options! {
            /// Sets how long sent bytes may stay unacknowledged until the connection is broken.
            ///
            /// See [`TcpStream::set_user_timeout`](crate::net::TcpStream::set_user_timeout).
            #[doc(alias = "TCP_USER_TIMEOUT")]
            user_timeout(timeout: std::time::Duration),
                $crate::net::tcp::option_names::USER_TIMEOUT, Some(timeout);

            /// Sets how the kernel controls congestion, such as `bbr`.
            ///
            /// See [`TcpSocket`](crate::net::TcpSocket::set_congestion_control).
            #[doc(alias = "TCP_CONGESTION")]
            congestion_control(name: &str),
                $crate::net::tcp::option_names::CONGESTION_CONTROL, name;

            /// Sets the largest segment to send, in bytes, from 88 to 32767.
            ///
            /// See [`TcpStream::set_mss`](crate::net::TcpStream::set_mss).
            #[doc(alias = "TCP_MAXSEG")]
            mss(bytes: u32), $crate::net::tcp::option_names::MSS, bytes;

            /// Sets how many bytes that are not sent yet the socket takes at most.
            ///
            /// See [`TcpStream::set_notsent_lowat`](crate::net::TcpStream::set_notsent_lowat).
            #[doc(alias = "TCP_NOTSENT_LOWAT")]
            notsent_lowat(bytes: u32), $crate::net::tcp::option_names::NOTSENT_LOWAT, bytes;

            /// Sets the type of service in the header of IPv4 packets.
            ///
            /// See [`TcpStream::set_tos_v4`](crate::net::TcpStream::set_tos_v4).
            #[doc(alias = "IP_TOS")]
            tos_v4(tos: u32), $crate::net::options::ip::TOS_V4, tos;

            /// Sets the traffic class in the header of IPv6 packets.
            ///
            /// See [`TcpStream::set_tclass_v6`](crate::net::TcpStream::set_tclass_v6).
            #[doc(alias = "IPV6_TCLASS")]
            tclass_v6(class: u32), $crate::net::options::ip::TCLASS_V6, class;

            /// Sets the mark of outgoing packets.
            ///
            /// See [`TcpStream::set_mark`](crate::net::TcpStream::set_mark).
            #[doc(alias = "SO_MARK")]
            mark(mark: u32), $crate::net::options::ip::MARK, mark;

            /// Binds the socket to a network interface, such as `eth0`.
            ///
            /// See [`TcpStream::bind_device`](crate::net::TcpStream::bind_device).
            #[doc(alias = "SO_BINDTODEVICE")]
            bind_device(interface: &str), $crate::net::options::ip::DEVICE, Some(interface);
        }
    };
}

/// Methods that set one option.
macro_rules! initial_options {
    ($(
        $(#[$attribute:meta])*
        $method:ident($value:ident: $given:ty), $option:path, $setting:expr;
    )+) => {$(
        $(#[$attribute])*
        pub fn $method(mut self, $value: $given) -> Self {
            self.initial.add($option.setting($setting));
            self
        }
    )+};
}

pub(in crate::net) use {initial_option_methods, initial_options};
