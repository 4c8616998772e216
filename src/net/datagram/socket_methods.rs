//! The methods that every socket with messages has, be it connected or not: a type with a field
//! `core` gets them. `$address` is its kind of address.

/// What a socket with messages does beside sending and receiving them.
macro_rules! socket_methods {
    ($address:ty) => {
        /// Polls until a receive may succeed.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn poll_recv_ready(
            &self,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            self.core.poll_recv_ready(context)
        }

        /// Polls until a send may succeed.
        ///
        /// Of the tasks that poll only the last is woken.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn poll_send_ready(
            &self,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            self.core.socket().poll_writable(context)
        }

        /// Waits until a receive may succeed.
        ///
        /// # Errors
        ///
        /// The kernel's.
        ///
        /// # Cancel safety
        ///
        /// Dropped, it loses nothing.
        pub async fn readable(&self) -> std::io::Result<()> {
            std::future::poll_fn(|context| self.poll_recv_ready(context)).await
        }

        /// Waits until a send may succeed.
        ///
        /// # Errors
        ///
        /// The kernel's.
        ///
        /// # Cancel safety
        ///
        /// Dropped, it loses nothing.
        pub async fn writable(&self) -> std::io::Result<()> {
            std::future::poll_fn(|context| self.poll_send_ready(context)).await
        }

        /// Closes the socket, once dropped operations have ended.
        ///
        /// Afterwards its address is free. Dropped instead, a socket that has received by
        /// [`recv_msg`](Self::recv_msg) or [`recv_many`](Self::recv_many) is closed a turn of the
        /// event loop later.
        ///
        /// # Cancel safety
        ///
        /// Dropped, the socket is closed.
        pub async fn close(self) {
            // If a forgotten operation uses the descriptor, it is closed with that.
            drop(self.core.take_apart().await);
        }

        /// Returns this end's address.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn local_addr(&self) -> std::io::Result<$address> {
            self.core.socket().local_addr()
        }

        /// Returns the address that the socket is connected to.
        ///
        /// # Errors
        ///
        /// `NotConnected` if it is not.
        pub fn peer_addr(&self) -> std::io::Result<$address> {
            let peer = $crate::sys::socket::peer_address(self.core.socket().fd()?);
            $crate::error::Describe::describe(peer, "getpeername").and_then(TryFrom::try_from)
        }

        /// Takes the error that is pending on the socket, if there is one.
        ///
        /// # Errors
        ///
        /// If the option cannot be read.
        #[doc(alias = "SO_ERROR")]
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            if let Some(errno) = self.core.socket().take_kept_error() {
                return Ok(Some(std::io::Error::from_raw_os_error(errno)));
            }
            $crate::net::options::take_error(self.options()?.fd()?)
        }

        pub(in crate::net) fn options(
            &self,
        ) -> std::io::Result<$crate::net::options::FdOptions<'_>> {
            self.core.socket().fd().map($crate::net::options::FdOptions)
        }

        $crate::net::options::buffer_size_methods! {
            /// UDP datagrams that find no room there are dropped; for Unix sockets it has no
            /// effect, as what they send is in the sender's send buffer.
        }
    };
}

/// What a socket with messages is to the rest of a program: a descriptor, and something to be
/// printed.
macro_rules! socket_traits {
    ($type:ident, $address:ty) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                let fd = self.core.socket().descriptor().fd_if_open();
                fd.expect("a datagram socket has a descriptor of the process").as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(self))
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let (local, peer) = self.core.socket().known_addresses::<$address>();
                f.debug_struct(stringify!($type))
                    .field("fd", &std::os::fd::AsRawFd::as_raw_fd(self))
                    .field("local", &local)
                    .field("peer", &peer)
                    .finish()
            }
        }
    };
}

pub(in crate::net) use {socket_methods, socket_traits};
