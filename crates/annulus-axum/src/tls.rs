//! What a handler learns of a connection that is TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use annulus::net::{TcpListener, UnixListener};
use annulus_hyper::server::{Listener, TlsListener};
use annulus_tls::{TlsInfo, TlsStream, Transport};
use axum::extract::connect_info::Connected;

use crate::connect_info::UnixConnectInfo;
use crate::incoming::IncomingStream;

impl Connected<IncomingStream<'_, TlsListener<TcpListener>>> for SocketAddr {
    fn connect_info(stream: IncomingStream<'_, TlsListener<TcpListener>>) -> Self {
        *stream.remote_addr()
    }
}

impl Connected<IncomingStream<'_, TlsListener<UnixListener>>> for UnixConnectInfo {
    fn connect_info(stream: IncomingStream<'_, TlsListener<UnixListener>>) -> Self {
        Self { peer_addr: stream.remote_addr().clone() }
    }
}

/// The peer of a TLS connection, and what the handshake has negotiated: over TCP, if not said
/// otherwise.
///
/// # Example
///
/// ```no_run
/// use annulus::net::TcpListener;
/// use annulus_axum::{TlsConnectInfo, TlsListener};
/// use annulus_tls::{TlsAcceptor, alpn, server_config};
/// use axum::Router;
/// use axum::extract::ConnectInfo;
/// use axum::routing::get;
///
/// async fn who(ConnectInfo(client): ConnectInfo<TlsConnectInfo>) -> String {
///     let certificates = client.tls.peer_certificates.as_ref().map_or(0, Vec::len);
///     format!("{} by {:?}, with {certificates} certificates\n",
///         client.peer_addr, client.tls.protocol_version)
/// }
///
/// let mut config = server_config("fullchain.pem", "privkey.pem")?;
/// config.alpn_protocols = alpn(["http/1.1"]);
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:8443").await?;
///     let listener = TlsListener::new(listener, TlsAcceptor::from(config));
///     let app = Router::new().route("/", get(who));
///     let service = app.into_make_service_with_connect_info::<TlsConnectInfo>();
///     annulus_axum::serve(listener, service).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsConnectInfo<A = SocketAddr> {
    /// The address of the peer.
    pub peer_addr: A,
    /// What was negotiated. It is shared by the requests of the connection.
    pub tls: Arc<TlsInfo>,
}

impl<L, T, A> Connected<IncomingStream<'_, TlsListener<L>>> for TlsConnectInfo<A>
where
    TlsListener<L>: Listener<Io = TlsStream<T>, Addr = A>,
    T: Transport,
    A: Clone + Send + Sync + 'static,
{
    fn connect_info(stream: IncomingStream<'_, TlsListener<L>>) -> Self {
        Self { peer_addr: stream.remote_addr().clone(), tls: Arc::new(stream.io().info()) }
    }
}
