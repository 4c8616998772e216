//! The methods that every datagram socket has: a type with a field `core` gets them. `$address` is
//! its kind of address.

/// What a datagram socket does with any kind of address.
macro_rules! datagram_methods {
    ($address:ty) => {
        /// Sends a datagram to the peer that the socket is [connected](Self::connect) to.
        ///
        /// Returns how many bytes it has, and the buffer. Waits while the socket has no room. A
        /// buffer without bytes is sent as a datagram without bytes.
        ///
        /// # Errors
        ///
        /// `NotConnected` or a missing destination address if there is no peer, EMSGSIZE if the
        /// datagram is too long, and what an earlier datagram has met, once: `ConnectionRefused` if
        /// the peer has no such socket. The socket can be used on.
        ///
        /// # Cancel safety
        ///
        /// Dropped, the datagram is sent as a whole or not at all.
        pub fn send<B: $crate::buf::IoBuf>(
            &self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> + use<B> {
            self.core.send(buffer, None, &$crate::sys::control::SentControl::default())
        }

        /// Receives a datagram into the buffer, and returns its length.
        ///
        /// Datagrams are received one by one, however many tasks receive: they are served in order.
        ///
        /// A length of zero is a datagram without bytes, and not EOF, which datagrams do not have.
        ///
        /// # Errors
        ///
        /// EMSGSIZE if the datagram is longer than the buffer: it is cut then, and what fits is in
        /// the buffer. [`recv_msg`](Self::recv_msg) has room for every datagram, and
        /// [`recv_msg_into`](Self::recv_msg_into) reports a cut one without an error. And what an
        /// earlier send has met, once: `ConnectionRefused` if the peer has no such socket. The
        /// socket can be used on.
        ///
        /// # Cancel safety
        ///
        /// Dropped, it loses nothing: a datagram that had arrived is what the next receive returns,
        /// with its sender. So does an error.
        #[doc(alias = "asyncio.loop.sock_recv")]
        pub fn recv<B: $crate::buf::IoBufMut>(
            &self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> + use<B> {
            let received = self.core.recv(buffer, false);
            async move {
                let whole = $crate::net::datagram::core::whole::<$address, B>(received.await, "recv");
                whole.map(|(length, _)| length)
            }
        }

        /// Receives a datagram into the buffer, and returns its length and its sender.
        ///
        /// As [`recv`](Self::recv) otherwise.
        ///
        /// # Errors
        ///
        /// As for [`recv`](Self::recv).
        ///
        /// # Cancel safety
        ///
        /// As for [`recv`](Self::recv).
        #[doc(alias = "asyncio.loop.sock_recvfrom")]
        pub fn recv_from<B: $crate::buf::IoBufMut>(
            &self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<(usize, $address), B>> + use<B> {
            let received = self.core.recv(buffer, false);
            async move { $crate::net::datagram::core::whole(received.await, "recv_from") }
        }

        /// Receives a datagram in a runtime-owned buffer, with all that is known about it.
        ///
        /// Nothing is copied, and no buffer is held while there is no datagram. Where the kernel
        /// has it, one SQE receives all datagrams of the socket (Linux 6.0): at most 256 that no
        /// task has taken, in buffers of
        /// [`Builder::datagram_buffers`](crate::Builder::datagram_buffers). What is beyond stays in
        /// the socket, and the kernel drops what its receive buffer has no room for. Where those
        /// buffers are all in use, and on older kernels, each datagram costs an allocation of its
        /// size.
        ///
        /// # Errors
        ///
        /// As for [`recv`](Self::recv). EMSGSIZE only if
        /// [`Builder::datagram_buffers`](crate::Builder::datagram_buffers) are smaller than the
        /// datagram, which is lost then; by default none of UDP is.
        ///
        /// # Cancel safety
        ///
        /// Dropped, it loses nothing.
        pub fn recv_msg(
            &self,
        ) -> impl Future<Output = std::io::Result<$crate::net::Datagram<$address>>> + use<> {
            let received = self.core.recv_lease();
            async move { $crate::net::datagram::core::datagram(received.await) }
        }

        /// Receives a datagram into the buffer, with all that is known about it.
        ///
        /// A datagram that is longer than the buffer is cut, and that is no error:
        /// [`RecvMeta::len`](crate::net::RecvMeta::len) is its whole length.
        ///
        /// # Errors
        ///
        /// As for [`recv`](Self::recv), but for a cut datagram.
        ///
        /// # Cancel safety
        ///
        /// As for [`recv`](Self::recv).
        pub fn recv_msg_into<B: $crate::buf::IoBufMut>(
            &self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<$crate::net::RecvMeta<$address>, B>> + use<B>
        {
            let received = self.core.recv(buffer, false);
            async move {
                let $crate::buf::BufResult(result, buffer) = received.await;
                $crate::buf::BufResult(result.and_then($crate::net::RecvMeta::of), buffer)
            }
        }

        /// Returns the datagrams as a stream, each as of [`recv_msg`](Self::recv_msg).
        ///
        /// The stream does not end. Dropped, it loses nothing.
        pub fn recv_many(&self) -> $crate::net::RecvMany<'_, $address> {
            $crate::net::RecvMany::new(&self.core)
        }

        /// Copies the next datagram into the buffer and leaves it to be received.
        ///
        /// Returns how many bytes are in the buffer: fewer than the datagram has if they do not
        /// fit.
        ///
        /// # Errors
        ///
        /// The kernel's, as for [`recv`](Self::recv).
        ///
        /// # Cancel safety
        ///
        /// Dropped, it loses nothing.
        #[doc(alias = "MSG_PEEK")]
        pub fn peek<B: $crate::buf::IoBufMut>(
            &self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> + use<B> {
            let peeked = self.core.recv(buffer, true);
            async move {
                let $crate::buf::BufResult(result, buffer) = peeked.await;
                let room = buffer.bytes_total();
                $crate::buf::BufResult(result.map(|envelope| envelope.length.min(room)), buffer)
            }
        }

        /// As [`peek`](Self::peek), and returns the sender, too.
        ///
        /// # Errors
        ///
        /// As for [`peek`](Self::peek).
        ///
        /// # Cancel safety
        ///
        /// Dropped, it loses nothing.
        pub fn peek_from<B: $crate::buf::IoBufMut>(
            &self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<(usize, $address), B>> + use<B> {
            let peeked = self.core.recv(buffer, true);
            async move {
                let $crate::buf::BufResult(result, buffer) = peeked.await;
                let room = buffer.bytes_total();
                let meta = result.and_then($crate::net::RecvMeta::<$address>::of);
                $crate::buf::BufResult(meta.map(|meta| (meta.len.min(room), meta.address)), buffer)
            }
        }

        /// Sends a datagram to the peer at once.
        ///
        /// # Errors
        ///
        /// As for [`send`](Self::send). `WouldBlock` if the socket has no room, or if this task or
        /// this turn of the event loop has made many calls already.
        pub fn try_send(&self, bytes: &[u8]) -> std::io::Result<usize> {
            let control = $crate::sys::control::SentControl::default();
            self.core.socket().try_send(bytes, None, &control)
        }

        /// Receives a datagram at once, and returns its length.
        ///
        /// # Errors
        ///
        /// As for [`recv`](Self::recv). `WouldBlock` if there is none, if a future of another task
        /// waits for one, or if this task or this turn of the event loop has made many calls
        /// already.
        pub fn try_recv(&self, memory: &mut [u8]) -> std::io::Result<usize> {
            self.try_recv_from(memory).map(|(length, _)| length)
        }

        /// Receives a datagram at once, and returns its length and its sender.
        ///
        /// # Errors
        ///
        /// As for [`try_recv`](Self::try_recv).
        pub fn try_recv_from(&self, memory: &mut [u8]) -> std::io::Result<(usize, $address)> {
            let meta = self.try_recv_msg(memory)?.check("recv_from", memory.len())?;
            Ok((meta.len, meta.address))
        }

        /// Receives a datagram at once, with all that is known about it.
        ///
        /// # Errors
        ///
        /// As for [`try_recv`](Self::try_recv), but for a datagram that is cut.
        pub fn try_recv_msg(
            &self,
            memory: &mut [u8],
        ) -> std::io::Result<$crate::net::RecvMeta<$address>> {
            self.core.try_recv(memory, false).and_then($crate::net::RecvMeta::of)
        }

        /// Polls for a datagram, and returns its length and its sender.
        ///
        /// Of the tasks that poll only the last is woken; tasks that await a receive come first.
        /// Nothing is in the memory while it is pending.
        ///
        /// # Errors
        ///
        /// As for [`recv`](Self::recv).
        pub fn poll_recv_from(
            &self,
            context: &mut std::task::Context<'_>,
            memory: &mut [u8],
        ) -> std::task::Poll<std::io::Result<(usize, $address)>> {
            let meta = std::task::ready!(self.poll_recv_msg(context, memory))?;
            let meta = meta.check("recv_from", memory.len())?;
            std::task::Poll::Ready(Ok((meta.len, meta.address)))
        }

        /// Polls for a datagram, and returns its length.
        ///
        /// As [`poll_recv_from`](Self::poll_recv_from) otherwise.
        ///
        /// # Errors
        ///
        /// As for [`recv`](Self::recv).
        pub fn poll_recv(
            &self,
            context: &mut std::task::Context<'_>,
            memory: &mut [u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            self.poll_recv_from(context, memory).map_ok(|(length, _)| length)
        }

        /// Polls for a datagram, with all that is known about it.
        ///
        /// As [`poll_recv_from`](Self::poll_recv_from) otherwise. A datagram that is longer than
        /// the memory is cut, and that is no error.
        ///
        /// # Errors
        ///
        /// The kernel's, as for [`recv`](Self::recv).
        pub fn poll_recv_msg(
            &self,
            context: &mut std::task::Context<'_>,
            memory: &mut [u8],
        ) -> std::task::Poll<std::io::Result<$crate::net::RecvMeta<$address>>> {
            let received = std::task::ready!(self.core.poll_recv(context, memory, false));
            std::task::Poll::Ready(received.and_then($crate::net::RecvMeta::of))
        }

        /// Polls for a datagram and leaves it to be received.
        ///
        /// # Errors
        ///
        /// As for [`peek`](Self::peek).
        pub fn poll_peek_from(
            &self,
            context: &mut std::task::Context<'_>,
            memory: &mut [u8],
        ) -> std::task::Poll<std::io::Result<(usize, $address)>> {
            let room = memory.len();
            let peeked = std::task::ready!(self.core.poll_recv(context, memory, true));
            let meta = peeked.and_then($crate::net::RecvMeta::<$address>::of);
            std::task::Poll::Ready(meta.map(|meta| (meta.len.min(room), meta.address)))
        }

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

        /// Polls a send of a datagram to the peer.
        ///
        /// # Errors
        ///
        /// As for [`send`](Self::send).
        pub fn poll_send(
            &self,
            context: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            let control = $crate::sys::control::SentControl::default();
            self.core.socket().poll_send(context, bytes, None, &control)
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
            let (level, name) = ($crate::sys::socket::SOL_SOCKET, $crate::sys::socket::SO_ERROR);
            let errno = self.core.socket().option(level, name, "get error")?;
            Ok((errno != 0).then(|| std::io::Error::from_raw_os_error(errno)))
        }

        /// Sets the size of the socket's receive buffer in bytes.
        ///
        /// The kernel doubles the number. Datagrams that find no room there are dropped.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "SO_RCVBUF")]
        pub fn set_recv_buffer_size(&self, bytes: usize) -> std::io::Result<()> {
            let (level, name) = ($crate::sys::socket::SOL_SOCKET, $crate::sys::socket::SO_RCVBUF);
            let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
            self.core.socket().set_option(level, name, bytes, "set receive buffer size")
        }

        /// Returns the size of the socket's receive buffer in bytes.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn recv_buffer_size(&self) -> std::io::Result<usize> {
            let (level, name) = ($crate::sys::socket::SOL_SOCKET, $crate::sys::socket::SO_RCVBUF);
            let bytes = self.core.socket().option(level, name, "get receive buffer size")?;
            Ok(bytes.unsigned_abs() as usize)
        }

        /// Sets the size of the socket's send buffer in bytes.
        ///
        /// The kernel doubles the number.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "SO_SNDBUF")]
        pub fn set_send_buffer_size(&self, bytes: usize) -> std::io::Result<()> {
            let (level, name) = ($crate::sys::socket::SOL_SOCKET, $crate::sys::socket::SO_SNDBUF);
            let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
            self.core.socket().set_option(level, name, bytes, "set send buffer size")
        }

        /// Returns the size of the socket's send buffer in bytes.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn send_buffer_size(&self) -> std::io::Result<usize> {
            let (level, name) = ($crate::sys::socket::SOL_SOCKET, $crate::sys::socket::SO_SNDBUF);
            let bytes = self.core.socket().option(level, name, "get send buffer size")?;
            Ok(bytes.unsigned_abs() as usize)
        }
    };
}

/// What a datagram socket is to the rest of a program: a descriptor, and something to be printed.
macro_rules! datagram_traits {
    ($type:ident, $std:ty, $address:ty) => {
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

        /// Takes over a socket.
        ///
        /// # Panics
        ///
        /// If there is no runtime on this thread.
        impl From<$std> for $type {
            fn from(socket: $std) -> Self {
                Self::from_std(socket)
            }
        }

        /// Takes over a socket. Which kind it is of is not checked.
        ///
        /// # Panics
        ///
        /// If there is no runtime on this thread.
        impl From<std::os::fd::OwnedFd> for $type {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                Self::from_std(fd.into())
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

pub(in crate::net) use {datagram_methods, datagram_traits};
