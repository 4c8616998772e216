//! The methods of streams and their halves, each written once.
//!
//! They are macros, to be used inside an `impl`: a trait would have to be imported by every user,
//! and a generic stream would hide `TcpStream` behind an alias. The type has a method `socket`.
//!
//! - `read_methods!` is for what can be read from, `write_methods!` for what can be written to, and
//!   `address_methods!` for both;
//! - `impl_as_fd!` implements the traits of the standard library for descriptors. (Those of
//!   [`io`](crate::io) are in `io`.)

/// Methods of what can be read from.
macro_rules! read_methods {
    () => {
        /// Receives available bytes into a runtime-owned buffer, and lends it.
        ///
        /// No bytes mean EOF.
        ///
        /// The buffer is chosen when bytes have arrived, so a connection that waits holds none: a
        /// server with many connections needs little memory, and what it needs stays in the cache.
        /// See [`Lease`](crate::buf::Lease), and
        /// [`Builder::large_buffers`](crate::Builder::large_buffers) and
        /// [`Builder::small_buffers`](crate::Builder::small_buffers) for how many there are. While
        /// all are lent, the bytes come in memory of their own.
        ///
        /// How it receives adapts to the connection. A connection with frequent small messages
        /// switches to multishot receive (Linux 6.0), which may buffer a few messages ahead of the
        /// reader. A read into an owned buffer ends that, at the cost of one cancel: on one
        /// connection, better use either those or this. To hand a connection to other code, use
        /// `into_std`, not a copy of its descriptor.
        ///
        /// # Errors
        ///
        /// The kernel's, such as `ConnectionReset`.
        ///
        /// # Cancel safety
        ///
        /// Dropped, it loses nothing: what had arrived is what the next read returns.
        ///
        /// # Example
        ///
        /// ```
        /// # use annulus::net::{TcpListener, TcpStream};
        /// # annulus::run(async {
        /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
        /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
        /// # let (mut stream, _) = listener.accept().await?;
        /// peer.write_all("hello").await.0?;
        /// let lease = stream.recv().await?;
        /// assert_eq!(&*lease, b"hello");
        /// # std::io::Result::Ok(())
        /// # })??;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[inline]
        pub fn recv(&mut self) -> impl Future<Output = std::io::Result<$crate::buf::Lease>> {
            $crate::net::stream::ops::recv(self.socket())
        }

        /// Reads available bytes, at most as many as the buffer has capacity for.
        ///
        /// It reads at least one byte; zero bytes mean EOF, or that the buffer has no capacity.
        ///
        /// # Errors
        ///
        /// The kernel's, such as `ConnectionReset`.
        ///
        /// # Cancel safety
        ///
        /// Dropped, no byte is lost: what had arrived is what the next read returns. The buffer is.
        #[doc(alias = "recv")]
        #[inline]
        pub fn read<B: $crate::buf::IoBufMut>(
            &mut self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> {
            $crate::net::stream::ops::read(self.socket(), buffer)
        }

        /// Reads until the buffer's capacity is full.
        ///
        /// The capacity may be more than the buffer was made with: for exactly `n` bytes pass
        /// `buffer.slice(..n)` ([`IoBuf::slice`](crate::buf::IoBuf::slice)).
        ///
        /// # Errors
        ///
        /// `UnexpectedEof` if EOF comes first; the buffer then holds the bytes before it. Otherwise
        /// the kernel's.
        ///
        /// # Cancel safety
        ///
        /// Dropped, no byte is lost: all that had been read is what the next read returns.
        #[doc(alias = "asyncio.StreamReader.readexactly")]
        #[inline]
        pub fn read_exact<B: $crate::buf::IoBufMut>(
            &mut self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<(), B>> {
            $crate::net::stream::ops::read_exact(self.socket(), buffer)
        }

        /// Like [`read`](Self::read), but leaves the bytes to be read.
        ///
        /// # Errors
        ///
        /// As for [`read`](Self::read).
        ///
        /// # Cancel safety
        ///
        /// Dropped, it has no effect.
        #[inline]
        pub fn peek<B: $crate::buf::IoBufMut>(
            &mut self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> {
            $crate::net::stream::ops::peek(self.socket(), buffer)
        }

        /// Reads available bytes at once, or nothing.
        ///
        /// Zero bytes mean EOF, or that the memory is empty. For a task that has other work when
        /// there is nothing to read; others use [`recv`](Self::recv), which waits.
        ///
        /// # Errors
        ///
        /// `WouldBlock` if there is nothing to read; also while a dropped read has not ended, and
        /// when the task has done so much at once that others are to be polled first. A read that
        /// is awaited goes on in each case. Otherwise the kernel's, such as `ConnectionReset`.
        ///
        /// # Example
        ///
        /// ```
        /// # use annulus::net::{TcpListener, TcpStream};
        /// # annulus::run(async {
        /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
        /// # let _peer = TcpStream::connect(listener.local_addr()?).await?;
        /// # let (mut stream, _) = listener.accept().await?;
        /// let nothing = stream.try_read(&mut [0; 16]).unwrap_err();
        /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        /// # std::io::Result::Ok(())
        /// # })??;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn try_read(&mut self, memory: &mut [u8]) -> std::io::Result<usize> {
            self.socket().try_receive(memory)
        }
    };
}

/// Methods of what can be written to.
macro_rules! write_methods {
    () => {
        /// Writes at once as much as the socket takes, or nothing.
        ///
        /// The bytes are borrowed, as they are with the kernel when this returns. For a task that
        /// has other work when the socket is full, or that drops what a slow peer does not take;
        /// others use [`write_all`](Self::write_all), which waits.
        ///
        /// # Errors
        ///
        /// `WouldBlock` if the socket has no room; also while a dropped write has not ended, so
        /// that bytes do not mix, and when the task has done so much at once that others are to be
        /// polled first. A write that is awaited goes on in each case. Otherwise the kernel's, such
        /// as `BrokenPipe`.
        ///
        /// # Example
        ///
        /// ```
        /// # use annulus::net::{TcpListener, TcpStream};
        /// # annulus::run(async {
        /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
        /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
        /// # let (mut stream, _) = listener.accept().await?;
        /// assert_eq!(stream.try_write(b"hello")?, 5);
        /// assert_eq!(&*peer.recv().await?, b"hello");
        /// # std::io::Result::Ok(())
        /// # })??;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.socket().try_send(bytes)
        }

        /// Writes as much of the buffer as the socket takes, at least one byte.
        ///
        /// The rest is `buffer.slice(count..)`, see [`IoBuf::slice`](crate::buf::IoBuf::slice);
        /// [`write_all`](Self::write_all) sends it, too.
        ///
        /// # Errors
        ///
        /// The kernel's, such as `BrokenPipe`. No signal is raised.
        ///
        /// # Cancel safety
        ///
        /// Dropped, an unknown part has been written; the next write waits for its end.
        #[doc(alias = "send")]
        #[inline]
        pub fn write<B: $crate::buf::IoBuf>(
            &mut self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<usize, B>> {
            $crate::net::stream::ops::write(self.socket(), buffer)
        }

        /// Writes all of the buffer.
        ///
        /// # Errors
        ///
        /// As for [`write`](Self::write); a part may have been written.
        ///
        /// # Cancel safety
        ///
        /// As for [`write`](Self::write).
        #[inline]
        pub fn write_all<B: $crate::buf::IoBuf>(
            &mut self,
            buffer: B,
        ) -> impl Future<Output = $crate::buf::BufResult<(), B>> {
            $crate::net::stream::ops::write_all(self.socket(), buffer)
        }

        /// Like [`write_all`](Self::write_all), but without a copy.
        ///
        /// The kernel sends from the buffer itself.
        ///
        /// Worthwhile for large buffers to other machines, on network devices with scatter-gather.
        ///
        /// It returns when the socket has taken all bytes, as `write_all` does; but the kernel
        /// needs the buffer until the peer has acknowledged them. So the buffer is not returned: it
        /// is dropped when the kernel has released it. A shared buffer, such as `Bytes`, can be
        /// sent again at once.
        ///
        /// It copies, as `write_all` does, below 32 KiB, before Linux 6.2, and on a connection on
        /// which the kernel has reported that it had to copy (as it always does on the loopback
        /// interface and on Unix sockets). It also copies in a runtime with a
        /// [`sqpoll`](crate::Builder::sqpoll): such a process could not end,
        /// nor be killed, while a peer does not take what was sent without a copy.
        ///
        /// # Errors
        ///
        /// As for [`write`](Self::write).
        ///
        /// # Cancel safety
        ///
        /// As for [`write`](Self::write): the next write does not wait for the peer, which can only
        /// keep the buffer. The end of a runtime waits until the kernel has released the buffer,
        /// within [`Builder::teardown_timeout`](crate::Builder::teardown_timeout); then it is
        /// leaked.
        ///
        /// # Example
        ///
        /// ```
        /// use bytes::Bytes;
        /// # use annulus::net::{TcpListener, TcpStream};
        /// # annulus::run(async {
        /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
        /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
        /// # let (mut stream, _) = listener.accept().await?;
        /// # let reading = async move { peer.read_exact(vec![0; 1 << 21]).await.0 };
        /// # let reading = annulus::spawn(reading);
        /// let page = Bytes::from(vec![7; 1 << 20]);
        /// stream.write_all_zero_copy(page.clone()).await?;
        /// stream.write_all_zero_copy(page).await?;
        /// # reading.await?
        /// # })??;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[inline]
        pub fn write_all_zero_copy<B: $crate::buf::IoBuf>(
            &mut self,
            buffer: B,
        ) -> impl Future<Output = std::io::Result<()>> {
            $crate::net::stream::ops::write_all_zero_copy(self.socket(), buffer)
        }

        /// Writes several buffers one after the other, as much as the socket takes at once.
        ///
        /// Of more than 1024 buffers it writes no more than the first 1024 that are not empty.
        /// [`write_all_vectored`](Self::write_all_vectored) sends the rest, too.
        ///
        /// # Errors
        ///
        /// As for [`write`](Self::write).
        ///
        /// # Cancel safety
        ///
        /// As for [`write`](Self::write).
        #[doc(alias = "writev")]
        #[inline]
        pub fn write_vectored<B: $crate::buf::IoBuf>(
            &mut self,
            buffers: Vec<B>,
        ) -> impl Future<Output = $crate::buf::BufResult<usize, Vec<B>>> {
            $crate::net::stream::ops::write_vectored(self.socket(), buffers)
        }

        /// Writes all of several buffers, one after the other, as if they were one.
        ///
        /// # Errors
        ///
        /// As for [`write`](Self::write); a part may have been written.
        ///
        /// # Cancel safety
        ///
        /// As for [`write`](Self::write).
        ///
        /// # Example
        ///
        /// ```
        /// # use annulus::net::{TcpListener, TcpStream};
        /// # annulus::run(async {
        /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
        /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
        /// # let (mut stream, _) = listener.accept().await?;
        /// let (head, body) = ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "hello");
        /// stream.write_all_vectored(vec![head, body]).await.0?;
        /// # let ((), received) =
        /// #     peer.read_exact(vec![0; head.len() + 5]).await.into_result()?;
        /// # assert_eq!(received, [head, body].concat().as_bytes());
        /// # std::io::Result::Ok(())
        /// # })??;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[inline]
        pub fn write_all_vectored<B: $crate::buf::IoBuf>(
            &mut self,
            buffers: Vec<B>,
        ) -> impl Future<Output = $crate::buf::BufResult<(), Vec<B>>> {
            $crate::net::stream::ops::write_all_vectored(self.socket(), buffers)
        }

        /// Sends a range of a file, without a copy, and returns how many bytes that were.
        ///
        /// They are fewer than the range if the file has fewer. All of the file is `..`. The file's
        /// own position is neither used nor changed.
        ///
        /// # Errors
        ///
        /// As for [`write`](Self::write); `InvalidInput` for a file that cannot be read at an
        /// offset, such as a directory; and `EMFILE`, as the transfer takes three descriptors.
        ///
        /// # Cancel safety
        ///
        /// As for [`write`](Self::write).
        ///
        /// # Example
        ///
        /// ```
        /// # use annulus::net::{TcpListener, TcpStream};
        /// # annulus::run(async {
        /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
        /// # let mut peer = TcpStream::connect(listener.local_addr()?).await?;
        /// # let (mut stream, _) = listener.accept().await?;
        /// let file = std::fs::File::open("README.md")?;
        /// let sent = stream.send_file(&file, ..9).await?;
        /// assert_eq!(sent, 9);
        /// # let ((), received) = peer.read_exact(Box::new([0; 9])).await.into_result()?;
        /// # assert_eq!(&*received, b"# Annulus");
        /// # std::io::Result::Ok(())
        /// # })??;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[doc(alias = "sendfile")]
        pub async fn send_file(
            &mut self,
            file: &std::fs::File,
            range: impl std::ops::RangeBounds<u64>,
        ) -> std::io::Result<u64> {
            $crate::net::stream::send_file::send_file(self.socket(), file, range).await
        }
    };
}

/// Methods of what has the addresses of a stream.
macro_rules! address_methods {
    ($address:ty) => {
        /// This end's address.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn local_addr(&self) -> std::io::Result<$address> {
            self.socket().local_addr()
        }

        /// The peer's address.
        ///
        /// # Errors
        ///
        /// `NotConnected` if the connection was reset before its address was known. It is known for
        /// an accepted connection, and once this method has returned it.
        pub fn peer_addr(&self) -> std::io::Result<$address> {
            self.socket().peer_addr()
        }
    };
}

/// Implements the traits of the standard library that give the descriptor.
macro_rules! impl_as_fd {
    ([$($generics:tt)*] $type:ty) => {
        /// # Panics
        ///
        /// If the stream has a direct descriptor, and the process has no more descriptors.
        impl<$($generics)*> std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                let fd = self.socket().fd().unwrap_or_else(|error| panic!("{error}"));
                std::os::fd::AsFd::as_fd(fd)
            }
        }

        /// # Panics
        ///
        /// If the stream has a direct descriptor, and the process has no more descriptors.
        impl<$($generics)*> std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(self))
            }
        }
    };
}

pub(in crate::net) use {address_methods, impl_as_fd, read_methods, write_methods};
