//! What a server listens on, and how it sets up a connection.

use std::fmt;
use std::io;

use annulus::net::{Connection, Polled, TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::io::{AsyncRead, AsyncWrite};

/// A source of connections for a server.
///
/// It is implemented by [`TcpListener`] and [`UnixListener`], and by what puts a protocol such as
/// TLS between their connections and HTTP. The runtime's listener accepts; what must be done with a
/// connection before HTTP, such as a handshake, is done by its [`Establish`] in the task of the
/// connection, within a time limit. So a slow client delays no other.
///
/// # Example
///
/// A listener behind a proxy that tells the client's address in a first line:
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use annulus::net::{Polled, TcpListener, TcpStream};
/// use annulus_hyper::server::{Establish, Listener};
///
/// struct BehindProxy(TcpListener);
/// struct FirstLine;
///
/// impl Listener for BehindProxy {
///     type Socket = TcpListener;
///     type Establish = FirstLine;
///     type Io = Polled<TcpStream>;
///     type Addr = SocketAddr;
///
///     fn local_addr(&self) -> io::Result<SocketAddr> {
///         self.0.local_addr()
///     }
///
///     fn into_parts(self) -> (TcpListener, FirstLine) {
///         (self.0, FirstLine)
///     }
/// }
///
/// impl Establish<TcpStream> for FirstLine {
///     type Io = Polled<TcpStream>;
///     type Addr = SocketAddr;
///
///     async fn establish(&self, stream: TcpStream) -> io::Result<(Self::Io, SocketAddr)> {
///         let (mut reader, writer) = stream.into_buffered();
///         let line = reader.read_line().await?;
///         let peer = std::str::from_utf8(&line).ok().and_then(|line| line.trim().parse().ok());
///         let peer = peer.ok_or_else(|| io::Error::other("the proxy told no address"))?;
///         Ok((Polled::new(TcpStream::from_buffered(reader, writer).await?), peer))
///     }
/// }
/// ```
pub trait Listener: Sized {
    /// The listener that accepts.
    type Socket: annulus::net::Listener;
    /// Sets up a connection.
    type Establish: Establish<
            <Self::Socket as annulus::net::Listener>::Stream,
            Io = Self::Io,
            Addr = Self::Addr,
        >;
    /// A connection, as HTTP uses it.
    type Io: AsyncRead + AsyncWrite + Unpin + 'static;
    /// The address of a client.
    type Addr: Clone + fmt::Debug + 'static;

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn local_addr(
        &self,
    ) -> io::Result<<<Self::Socket as annulus::net::Listener>::Stream as Connection>::Addr>;

    /// Returns the listener that accepts, and what sets up its connections.
    fn into_parts(self) -> (Self::Socket, Self::Establish);
}

/// Sets up the connections of a [`Listener`].
pub trait Establish<S>: 'static {
    /// A connection, as HTTP uses it.
    type Io;
    /// The address of a client.
    type Addr;

    /// Sets up a connection, and returns it with the address of its client.
    ///
    /// It has [`Serve::setup_timeout`](super::Serve::setup_timeout).
    fn establish(&self, stream: S) -> impl Future<Output = io::Result<(Self::Io, Self::Addr)>>;
}

/// Sets up a connection that needs nothing before HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

macro_rules! plain {
    ($listener:ty, $stream:ty) => {
        impl Listener for $listener {
            type Socket = Self;
            type Establish = Plain;
            type Io = Polled<$stream>;
            type Addr = <$stream as Connection>::Addr;

            fn local_addr(&self) -> io::Result<Self::Addr> {
                <$listener>::local_addr(self)
            }

            fn into_parts(self) -> (Self, Plain) {
                (self, Plain)
            }
        }

        impl Establish<$stream> for Plain {
            type Io = Polled<$stream>;
            type Addr = <$stream as Connection>::Addr;

            async fn establish(&self, stream: $stream) -> io::Result<(Self::Io, Self::Addr)> {
                let peer = stream.peer_addr()?;
                Ok((Polled::new(stream), peer))
            }
        }
    };
}

plain!(TcpListener, TcpStream);
plain!(UnixListener, UnixStream);
