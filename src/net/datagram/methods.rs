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
                let room = buffer.bytes_total();
                let meta = $crate::net::datagram::meta::of_what_fits(result, room, "recvmsg");
                $crate::buf::BufResult(meta, buffer)
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
                $crate::buf::BufResult(result.map(|envelope| envelope.received), buffer)
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
                let peeked = result.and_then($crate::net::datagram::meta::peeked);
                $crate::buf::BufResult(peeked, buffer)
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
            let envelope = self.core.try_recv(memory, false)?;
            let whole = $crate::net::datagram::meta::whole(envelope, "recv_from")?;
            let meta = $crate::net::RecvMeta::of(whole)?;
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
            let received = self.core.try_recv(memory, false);
            $crate::net::datagram::meta::of_what_fits(received, memory.len(), "recvmsg")
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
            let envelope = std::task::ready!(self.core.poll_recv(context, memory, false))?;
            let whole = $crate::net::datagram::meta::whole(envelope, "recv_from")?;
            let meta = $crate::net::RecvMeta::of(whole)?;
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
            let room = memory.len();
            let meta = $crate::net::datagram::meta::of_what_fits(received, room, "recvmsg");
            std::task::Poll::Ready(meta)
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
            let peeked = std::task::ready!(self.core.poll_recv(context, memory, true));
            std::task::Poll::Ready(peeked.and_then($crate::net::datagram::meta::peeked))
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

        $crate::net::datagram::socket_methods::socket_methods!($address);
    };
}

/// What a datagram socket is to the rest of a program: a descriptor, something to be printed, and
/// what can be made of a socket of the standard library.
macro_rules! datagram_traits {
    ($type:ident, $std:ty, $address:ty) => {
        $crate::net::datagram::socket_methods::socket_traits!($type, $address);

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
    };
}

pub(in crate::net) use {datagram_methods, datagram_traits};
