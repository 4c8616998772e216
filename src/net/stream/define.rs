//! The macro that makes a type a stream: it has all methods of `methods`, and those that only a
//! whole stream has.

/// Makes a type with a field `socket` a stream. `$std` is the standard library's type for the same.
macro_rules! stream {
    ($type:ident, $address:ty, $std:ty) => {
        impl $type {
            $crate::net::stream::define::stream_methods!($address, $std);
        }

        impl $crate::net::stream::Connection for $type {
            type Addr = $address;
        }

        impl $crate::net::stream::sealed::Stream for $type {
            fn from_socket(socket: std::rc::Rc<$crate::op::StreamSocket>) -> Self {
                Self { socket }
            }

            fn into_socket(self) -> std::rc::Rc<$crate::op::StreamSocket> {
                self.socket
            }

            fn socket(&self) -> &std::rc::Rc<$crate::op::StreamSocket> {
                &self.socket
            }
        }

        $crate::net::stream::io::impl_read! { [] $type }
        $crate::net::stream::io::impl_write! { [] $type {
            fn abort(&mut self) {
                self.socket.abort();
            }
        } }
        $crate::net::stream::methods::impl_as_fd! { [] $type }

        /// Takes over a connected socket. Which kind it is of is not checked.
        ///
        /// # Panics
        ///
        /// If there is no runtime on this thread.
        impl From<std::os::fd::OwnedFd> for $type {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                Self { socket: $crate::net::stream::adopt(fd) }
            }
        }

        impl From<$std> for $type {
            fn from(stream: $std) -> Self {
                Self::from_std(stream)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                use std::os::fd::AsRawFd;

                // Printing has no effect: it does not make a descriptor for a direct one.
                let fd = self.socket.descriptor().fd_if_open().map(AsRawFd::as_raw_fd);
                let (local, peer) = self.socket.known_addresses::<$address>();
                f.debug_struct(stringify!($type))
                    .field("fd", &fd)
                    .field("local", &local)
                    .field("peer", &peer)
                    .finish()
            }
        }
    };
}

/// Methods of whole streams.
macro_rules! stream_methods {
    ($address:ty, $std:ty) => {
        pub(in crate::net) fn socket(&self) -> &std::rc::Rc<$crate::op::StreamSocket> {
            &self.socket
        }

        pub(in crate::net) fn options(&self) -> std::io::Result<$crate::net::options::Options> {
            Ok($crate::net::options::Options::of(&self.socket))
        }

        $crate::net::options::option_methods!();
        $crate::net::stream::methods::read_methods!();
        $crate::net::stream::methods::write_methods!();
        $crate::net::stream::methods::address_methods!($address);

        /// Shuts down one direction or both.
        ///
        /// After a shutdown of writing the peer reads to EOF. Waits until dropped writes have
        /// ended.
        ///
        /// # Errors
        ///
        /// If the connection is gone already.
        ///
        /// # Cancel safety
        ///
        /// Dropped while it waits for dropped writes, it has shut down nothing.
        #[doc(alias = "asyncio.StreamWriter.write_eof")]
        pub async fn shutdown(&mut self, how: std::net::Shutdown) -> std::io::Result<()> {
            $crate::net::stream::ops::shutdown(self.socket(), how).await
        }

        /// Splits the stream into two halves, for two tasks of this thread.
        pub fn into_split(
            self,
        ) -> ($crate::net::OwnedReadHalf<Self>, $crate::net::OwnedWriteHalf<Self>) {
            $crate::net::stream::split(self)
        }

        /// Makes a reader of lines and records, and a writer with a queue.
        ///
        /// They may be used by two tasks of this thread.
        pub fn into_buffered(
            self,
        ) -> ($crate::net::StreamReader<Self>, $crate::net::StreamWriter<Self>) {
            $crate::net::stream::buffer(self, $crate::net::stream::BufferLimits::default())
        }

        /// Makes a stream of its reader and its writer again.
        ///
        /// Waits until the kernel has taken all written bytes. What the reader had received and not
        /// returned is what the stream returns next; then comes the reader's error or EOF, if it
        /// has met one. The rest of a line that was longer than the reader's limit is waited for
        /// and discarded, as the next read would do.
        ///
        /// # Errors
        ///
        /// Those of the [writer](crate::io::StreamWriter#errors); `NotConnected` if its writing
        /// direction is shut down; `InvalidInput` if they are of different connections; and the
        /// reader's, while such a line is discarded. The connection is then dropped.
        ///
        /// # Cancel safety
        ///
        /// Dropped, reader and writer are dropped: queued bytes are still sent.
        pub async fn from_buffered(
            reader: $crate::net::StreamReader<Self>,
            writer: $crate::net::StreamWriter<Self>,
        ) -> std::io::Result<Self> {
            $crate::net::stream::unbuffer(reader, writer).await
        }

        /// Takes the connection out of this runtime, to be moved to that of another thread.
        ///
        /// Nothing is lost or changes its order: what dropped reads had received goes along. Waits
        /// until dropped operations have ended. A direct descriptor becomes one of the process.
        ///
        /// Halves are [reunited](crate::net::OwnedReadHalf::reunite) before, and so are a reader
        /// and a writer, by [`from_buffered`](Self::from_buffered).
        ///
        /// A connection that leaves a server so is no longer watched by its
        /// [limits](crate::net::ServerOptions#connections-that-leave): the program that takes it
        /// over must bound it.
        ///
        /// # Errors
        ///
        /// If no descriptor can be had: for a direct descriptor when the process has no more, or if
        /// forgotten operations still use the stream's. The connection is closed then.
        ///
        /// # Cancel safety
        ///
        /// Dropped, the connection is closed.
        ///
        /// # Example
        ///
        /// ```
        /// use annulus::net::{TcpListener, TcpStream};
        ///
        /// annulus::run(async {
        ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
        ///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
        ///     let (stream, _) = listener.accept().await?;
        ///     let parts = stream.into_parts().await?;
        ///     // Another thread, with a runtime of its own.
        ///     let other = std::thread::spawn(|| {
        ///         annulus::run(async {
        ///             let mut stream = TcpStream::from_parts(parts);
        ///             stream.write_all("hello from another thread").await.0
        ///         })
        ///     });
        ///     assert_eq!(&*client.recv().await?, b"hello from another thread");
        ///     other.join().expect("no panic")??;
        ///     Ok::<_, Box<dyn std::error::Error>>(())
        /// })??;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub async fn into_parts(self) -> std::io::Result<$crate::net::StreamParts<Self>> {
            $crate::net::stream::into_parts(self.socket).await
        }

        /// Takes over a connection that has left another runtime, or this one.
        ///
        /// See [`into_parts`](Self::into_parts).
        ///
        /// # Panics
        ///
        /// If there is no runtime on this thread.
        pub fn from_parts(parts: $crate::net::StreamParts<Self>) -> Self {
            $crate::net::stream::from_parts(parts)
        }

        /// Takes over a connection of the standard library.
        ///
        /// # Panics
        ///
        /// If there is no runtime on this thread.
        pub fn from_std(stream: $std) -> Self {
            std::os::fd::OwnedFd::from(stream).into()
        }

        /// Converts the connection to one of the standard library, which is blocking.
        ///
        /// What dropped reads had received and no read has returned comes with it. Waits until
        /// dropped operations have ended.
        ///
        /// # Errors
        ///
        /// If no descriptor can be had: for a direct descriptor when the process has no more, or if
        /// forgotten operations still use the stream's. The connection is closed then.
        ///
        /// # Cancel safety
        ///
        /// Dropped, the connection is closed.
        pub async fn into_std(self) -> std::io::Result<$crate::net::IntoStd<$std>> {
            $crate::net::stream::take_apart(self.socket).await?.try_map(|fd| {
                let stream = <$std>::from(fd);
                stream.set_nonblocking(false).map(|()| stream)
            })
        }
    };
}

pub(in crate::net) use {stream, stream_methods};
