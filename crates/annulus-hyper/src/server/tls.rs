//! TLS between a listener's connections and HTTP.

use std::fmt;
use std::io;

use annulus::net::{Connection, Polled, TcpListener, TcpStream, UnixListener, UnixStream};
use annulus_tls::{TlsAcceptor, TlsStream};

use super::listener::{Establish, Listener};

/// A listener whose connections are TLS.
///
/// The handshake is made in the task of the connection, so that slow clients delay no others. It
/// has [`Serve::setup_timeout`](super::Serve::setup_timeout) and the acceptor's own
/// [limit](TlsAcceptor::handshake_timeout). A handshake that fails is
/// [counted](super::Counters::setup_failures).
///
/// Which versions of HTTP clients are offered is said by the acceptor's configuration: see
/// [`annulus_tls::alpn`].
///
/// # Example
///
/// ```no_run
/// use std::convert::Infallible;
/// use annulus::net::TcpListener;
/// use annulus_hyper::server::{TlsListener, serve};
/// use annulus_tls::{TlsAcceptor, alpn, server_config};
/// use http_body_util::Full;
/// use hyper::body::{Bytes, Incoming};
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
///
/// async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
///     Ok(Response::new(Full::new(Bytes::from("hello\n"))))
/// }
///
/// annulus::run(async {
///     let mut config = server_config("fullchain.pem", "privkey.pem")?;
///     config.alpn_protocols = alpn(["h2", "http/1.1"]);
///     let listener = TcpListener::bind("127.0.0.1:8443").await?;
///     serve(TlsListener::new(listener, TlsAcceptor::from(config)), service_fn(hello)).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TlsListener<L = TcpListener> {
    listener: L,
    acceptor: TlsAcceptor,
}

impl<L> TlsListener<L> {
    /// Puts TLS between a listener and HTTP.
    pub fn new(listener: L, acceptor: TlsAcceptor) -> Self {
        Self { listener, acceptor }
    }
}

impl<L: fmt::Debug> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

macro_rules! over_tls {
    ($listener:ty, $stream:ty) => {
        impl Listener for TlsListener<$listener> {
            type Socket = $listener;
            type Establish = TlsAcceptor;
            type Io = TlsStream<Polled<$stream>>;
            type Addr = <$stream as Connection>::Addr;

            fn local_addr(&self) -> io::Result<Self::Addr> {
                self.listener.local_addr()
            }

            fn into_parts(self) -> ($listener, TlsAcceptor) {
                (self.listener, self.acceptor)
            }
        }

        impl Establish<$stream> for TlsAcceptor {
            type Io = TlsStream<Polled<$stream>>;
            type Addr = <$stream as Connection>::Addr;

            async fn establish(&self, stream: $stream) -> io::Result<(Self::Io, Self::Addr)> {
                let peer = stream.peer_addr()?;
                Ok((self.accept(stream).await?, peer))
            }
        }
    };
}

over_tls!(TcpListener, TcpStream);
over_tls!(UnixListener, UnixStream);
