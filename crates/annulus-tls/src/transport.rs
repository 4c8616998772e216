//! What TLS runs over: a byte stream with poll methods.

use std::future::Future;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use annulus::net::{self, Connection, Polled, ReadSide, TcpStream, UnixStream, WriteSide};

/// A byte stream that TLS can run over.
///
/// Connections of [`annulus::net`] in a [`Polled`] are such streams, and so is a
/// [`TlsStream`](crate::TlsStream), for TLS within TLS as through an HTTPS proxy. Other crates may
/// implement it for theirs.
///
/// A method that returns `Pending` has registered the waker of its context. The two directions have
/// one waker each: that of the latest call.
pub trait Transport: Unpin + 'static {
    /// Returns the received bytes that have not been consumed, and waits if there are none.
    ///
    /// No bytes mean EOF.
    ///
    /// # Errors
    ///
    /// If the stream has failed.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>>;

    /// Marks bytes that [`poll_fill`](Self::poll_fill) has returned as read.
    fn consume(&mut self, count: usize);

    /// Accepts some of the bytes, at least one, and waits while there is no room.
    ///
    /// What has been accepted is sent even if the stream is dropped.
    ///
    /// # Errors
    ///
    /// If the stream has failed.
    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Sees to it that what was accepted is sent. Need not wait until it is.
    ///
    /// # Errors
    ///
    /// If the stream has failed.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits until what was accepted has been sent, as far as the stream can tell.
    ///
    /// # Errors
    ///
    /// If the stream has failed.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Shuts down the writing direction after all that was accepted: the peer reads EOF.
    ///
    /// # Errors
    ///
    /// If the stream has failed.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Aborts the stream in both directions, at once: over TCP by a reset.
    fn abort(&mut self);
}

/// What can be given to an acceptor or connector: a [`Transport`], or a connection that becomes
/// one.
pub trait IntoTransport {
    /// The stream that TLS runs over.
    type Transport: Transport;

    /// Returns that stream.
    fn into_transport(self) -> Self::Transport;
}

impl<T: Transport> IntoTransport for T {
    type Transport = T;

    fn into_transport(self) -> T {
        self
    }
}

impl IntoTransport for TcpStream {
    type Transport = Polled<Self>;

    fn into_transport(self) -> Polled<Self> {
        Polled::new(self)
    }
}

impl IntoTransport for UnixStream {
    type Transport = Polled<Self>;

    fn into_transport(self) -> Polled<Self> {
        Polled::new(self)
    }
}

impl<S: ReadSide + WriteSide + 'static> Transport for Polled<S> {
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.poll_fill(context)
    }

    fn consume(&mut self, count: usize) {
        self.consume(count);
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, buffers)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }

    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_shutdown(context)
    }

    fn abort(&mut self) {
        self.abort();
    }
}

/// A kind of connection whose buffered reader and writer can become a connection again.
///
/// It is what `start_tls` of acceptors and connectors needs. Only this crate implements it.
pub trait Upgrade: Connection + Unpin + sealed::Sealed {
    /// Returns the connection, with the bytes that have been received and not been read, once all
    /// that was written has been sent.
    #[doc(hidden)]
    fn reunite(
        reader: net::StreamReader<Self>,
        writer: net::StreamWriter<Self>,
    ) -> impl Future<Output = io::Result<Self>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! impl_upgrade {
    ($stream:ident) => {
        impl sealed::Sealed for $stream {}

        impl Upgrade for $stream {
            async fn reunite(
                reader: net::StreamReader<Self>,
                writer: net::StreamWriter<Self>,
            ) -> io::Result<Self> {
                Self::from_buffered(reader, writer).await
            }
        }
    };
}

impl_upgrade! { TcpStream }
impl_upgrade! { UnixStream }
