//! The methods of TCP's options.

/// Methods of every TCP socket. The type has a method `options`.
macro_rules! tcp_option_methods {
    () => {
        $crate::net::options::ip::ip_option_methods!();

        $crate::net::options::option::option_methods_of! {
            /// Sets `TCP_NODELAY`: whether small writes are sent at once.
            ///
            /// If not, they wait to fill a packet while earlier ones are unacknowledged.
            ///
            /// On for connections of [`start_server`](crate::net::start_server) and
            /// [`open_connection`](crate::net::open_connection); off for others, as is the system's
            /// default.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "TCP_NODELAY")]
            set_nodelay(on: bool), nodelay -> bool, $crate::net::tcp::option_names::NODELAY;

            /// Sets how long sent bytes may stay unacknowledged until the connection is broken.
            ///
            /// Reads and writes then fail with `TimedOut`. It also bounds how long a peer may keep
            /// its window closed. Rounded up to milliseconds; `None` is the system's default, which
            /// tries for about a quarter of an hour.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "TCP_USER_TIMEOUT")]
            #[doc(alias = "set_tcp_user_timeout")]
            set_user_timeout(timeout: Option<std::time::Duration>),
                user_timeout -> Option<std::time::Duration>,
                $crate::net::tcp::option_names::USER_TIMEOUT;

            /// Sets how the kernel controls congestion, such as `cubic`, `bbr` or `reno`.
            ///
            /// Those that every process may set are in
            /// `/proc/sys/net/ipv4/tcp_allowed_congestion_control`.
            ///
            /// # Errors
            ///
            /// `NotFound` if the kernel does not have it, `PermissionDenied` without
            /// `CAP_NET_ADMIN` if it is not one that every process may set, and `InvalidInput` for
            /// a name of more than 15 bytes.
            #[doc(alias = "TCP_CONGESTION")]
            #[doc(alias = "set_tcp_congestion")]
            set_congestion_control(name: &str), congestion_control -> String,
                $crate::net::tcp::option_names::CONGESTION_CONTROL;

            /// Sets the largest segment to send, in bytes, from 88 to 32767.
            ///
            /// To be set before the connection is made: afterwards it can only become smaller. What
            /// is read of a connection is the size that it uses.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for another number.
            #[doc(alias = "TCP_MAXSEG")]
            #[doc(alias = "set_tcp_mss")]
            set_mss(bytes: u32), mss -> u32, $crate::net::tcp::option_names::MSS;

            /// Sets how many bytes that are not sent yet the socket takes at most.
            ///
            /// With more it counts as full, although the send buffer has room: what a program wants
            /// to send next does not wait behind much that is older. Zero is the system's default,
            /// no limit.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "TCP_NOTSENT_LOWAT")]
            #[doc(alias = "set_tcp_notsent_lowat")]
            set_notsent_lowat(bytes: u32), notsent_lowat -> u32,
                $crate::net::tcp::option_names::NOTSENT_LOWAT;

            /// Sets whether received data is acknowledged at once.
            ///
            /// The kernel soon returns to its default: set it after each read for which it
            /// matters.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "TCP_QUICKACK")]
            #[doc(alias = "set_tcp_quickack")]
            set_quickack(on: bool), quickack -> bool, $crate::net::tcp::option_names::QUICKACK;

            /// Sets whether only full segments are sent.
            ///
            /// What does not fill one waits until this is set to false, at most 200 ms.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "TCP_CORK")]
            #[doc(alias = "set_tcp_cork")]
            set_cork(on: bool), cork -> bool, $crate::net::tcp::option_names::CORK;
        }

        /// Sets how the kernel probes a silent peer; `None` ends the probes.
        ///
        /// # Errors
        ///
        /// `InvalidInput` if a value is beyond what the kernel takes.
        #[doc(alias = "SO_KEEPALIVE")]
        #[doc(alias = "TCP_KEEPIDLE")]
        #[doc(alias = "TCP_KEEPINTVL")]
        #[doc(alias = "TCP_KEEPCNT")]
        pub fn set_keepalive(
            &self,
            keepalive: Option<$crate::net::Keepalive>,
        ) -> std::io::Result<()> {
            $crate::net::tcp::options::set_keepalive(self.options()?.fd()?, keepalive)
        }

        /// How the kernel probes a silent peer, if it does.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn keepalive(&self) -> std::io::Result<Option<$crate::net::Keepalive>> {
            $crate::net::tcp::options::keepalive(self.options()?.fd()?)
        }
    };
}

/// Methods of connections only.
macro_rules! tcp_connection_methods {
    () => {
        /// What the kernel knows of the connection: its round trip time, losses, and more.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "TCP_INFO")]
        pub fn info(&self) -> std::io::Result<$crate::net::TcpInfo> {
            use $crate::error::Describe;

            $crate::sys::tcp_info::tcp_info(self.options()?.fd()?).describe("get information")
        }
    };
}

pub(in crate::net) use {tcp_connection_methods, tcp_option_methods};
