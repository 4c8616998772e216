//! The methods of listeners, each written once.

/// Makes a type a listener of stream sockets, as [`accepting`] does. `$std` is the standard
/// library's type for the same.
macro_rules! listener {
    ($type:ident, $stream:ty, $address:ty, $std:ty) => {
        $crate::net::listener::methods::accepting!($type, $stream, $address);

        impl $type {
            /// Takes over a listener of the standard library, with the default options.
            ///
            /// # Panics
            ///
            /// If there is no runtime on this thread.
            pub fn from_std(listener: $std) -> Self {
                std::os::fd::OwnedFd::from(listener).into()
            }

            /// Converts the listener to one of the standard library, which is blocking.
            ///
            /// Waits until the kernel has ended the accept in flight. With the listener it returns
            /// the connections that had been accepted and not been returned, at most
            /// [`max_pending`](crate::net::ListenOptions::max_pending) and one batch of the kernel.
            /// Those in the backlog stay there.
            ///
            /// # Errors
            ///
            /// If an accept that was forgotten still uses the descriptor, and it cannot be
            /// duplicated.
            ///
            /// # Cancel safety
            ///
            /// Dropped, the listener is closed, and so are those connections.
            pub async fn into_std(self) -> std::io::Result<($std, Vec<($stream, $address)>)> {
                let (fd, accepted) = self.listener.into_inner().into_fd().await?;
                let listener = <$std>::from(fd);
                listener.set_nonblocking(false)?;
                Ok((listener, accepted))
            }
        }

        impl $crate::net::listener::Listener for $type {
            type Stream = $stream;
        }

        impl $crate::net::listener::sealed::Listener<$stream> for $type {
            fn into_inner(self) -> $crate::net::listener::ListenSocket<$stream> {
                self.listener.into_inner()
            }
        }

        impl From<$std> for $type {
            fn from(listener: $std) -> Self {
                Self::from_std(listener)
            }
        }
    };
}

/// Makes a type a listener that holds an [`AcceptQueue`](super::AcceptQueue) in its field
/// `listener`. `$stream` is what it makes of a connection, and `$address` the peer's.
macro_rules! accepting {
    ($type:ident, $stream:ty, $address:ty) => {
        impl $type {
            /// Waits for a connection, and returns it with its peer's address.
            ///
            /// It does so even if the peer has reset the connection already: then reading from the
            /// stream fails. An address that the system does not tell is unspecified.
            ///
            /// # Errors
            ///
            /// If this is not a listening socket (any more). Nothing else is an error here: what
            /// befalls a single connection is counted in
            /// [`Metrics::accept_errors`](crate::Metrics::accept_errors), and when descriptors or
            /// memory run out, or a security module refuses, the accept goes on after a pause, and
            /// an [`Incident::AcceptDelayed`](crate::Incident::AcceptDelayed) reports it.
            ///
            /// Several tasks may wait: the first to wait gets the first connection.
            ///
            /// # Cancel safety
            ///
            /// Dropped, no connection is lost: one that had arrived is what the next accept
            /// returns. A future that is kept and not polled, or is forgotten, keeps its place:
            /// those behind it wait.
            pub async fn accept(&self) -> std::io::Result<($stream, $address)> {
                self.listener.accept().await
            }

            /// Polls for a connection, for hand-written futures and foreign traits.
            ///
            /// Of the tasks that poll, only the last is woken, as there is no future whose drop
            /// would tell that one has lost interest. Futures of [`accept`](Self::accept) come
            /// first, while any wait.
            ///
            /// # Errors
            ///
            /// As for [`accept`](Self::accept); after an error it may be polled again.
            ///
            /// # Cancel safety
            ///
            /// A task that does not poll again loses nothing: the next accept or poll returns the
            /// connection.
            ///
            /// # Example
            ///
            /// ```no_run
            /// use std::future::poll_fn;
            /// use annulus::net::TcpListener;
            ///
            /// annulus::run(async {
            ///     let listener = TcpListener::bind("127.0.0.1:7000").await?;
            ///     let (stream, peer) = poll_fn(|context| listener.poll_accept(context)).await?;
            ///     println!("{peer} on {stream:?}");
            ///     std::io::Result::Ok(())
            /// })??;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn poll_accept(
                &self,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<($stream, $address)>> {
                self.listener.poll_accept(context)
            }

            /// The connections as a stream, which never ends; see [`accept`](Self::accept).
            ///
            /// It borrows the listener exclusively: a stream that is kept and not polled would
            /// otherwise keep connections from other tasks.
            ///
            /// # Example
            ///
            /// ```no_run
            /// use annulus::net::TcpListener;
            /// use futures_util::StreamExt;
            ///
            /// annulus::run(async {
            ///     let mut listener = TcpListener::bind("127.0.0.1:7000").await?;
            ///     let mut incoming = listener.incoming();
            ///     while let Some(connection) = incoming.next().await {
            ///         let (stream, peer) = connection?;
            ///         println!("{peer} on {stream:?}");
            ///     }
            ///     std::io::Result::Ok(())
            /// })??;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn incoming(&mut self) -> $crate::net::listener::Incoming<'_, $stream> {
                $crate::net::listener::Incoming::new(&mut self.listener)
            }

            /// Stops listening, and waits until the kernel has released the socket.
            ///
            /// Its address is free then. Returns the connections that had arrived and not been
            /// accepted, so that a server that ends gracefully can still serve those clients. They
            /// may be as many as the [backlog](crate::net::ListenOptions::backlog); if descriptors
            /// run out, the rest is reset.
            ///
            /// # Cancel safety
            ///
            /// Dropped, the listener is closed all the same, a little later, and so are those
            /// connections.
            #[doc(alias = "asyncio.Server.wait_closed")]
            pub async fn close(self) -> Vec<($stream, $address)> {
                self.listener.into_inner().close().await
            }

            /// The address that it listens on.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn local_addr(&self) -> std::io::Result<$address> {
                self.listener.local_addr()
            }
        }

        impl $crate::net::listener::listening_sealed::Listening for $type {
            fn share(&self) -> Vec<std::sync::Weak<$crate::op::SharedListener>> {
                vec![self.listener.share()]
            }
        }

        /// Takes over a listening socket, with the default options. Which kind it is of is not
        /// checked.
        ///
        /// # Panics
        ///
        /// If there is no runtime on this thread.
        impl From<std::os::fd::OwnedFd> for $type {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                let socket = $crate::net::listener::ListenSocket::adopt(fd);
                Self { listener: $crate::net::listener::AcceptQueue::new(socket) }
            }
        }

        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(self.listener.shared_fd())
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(self.listener.shared_fd())
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("fd", &std::os::fd::AsRawFd::as_raw_fd(self.listener.fd()))
                    .field("local", &self.local_addr().ok())
                    .finish()
            }
        }
    };
}

pub(in crate::net) use {accepting, listener};
