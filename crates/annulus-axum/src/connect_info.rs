//! What a handler learns of its connection: [`ConnectInfo`](axum::extract::ConnectInfo).

use std::net::SocketAddr;

use annulus::net::{TcpListener, UnixListener};
use axum::extract::connect_info::Connected;

use crate::incoming::IncomingStream;

impl Connected<IncomingStream<'_, TcpListener>> for SocketAddr {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        *stream.remote_addr()
    }
}

/// The peer of a connection that came through a Unix socket.
///
/// # Example
///
/// ```no_run
/// use annulus::net::UnixListener;
/// use annulus_axum::UnixConnectInfo;
/// use axum::Router;
/// use axum::extract::ConnectInfo;
/// use axum::routing::get;
///
/// async fn who(ConnectInfo(peer): ConnectInfo<UnixConnectInfo>) -> String {
///     format!("{peer:?}\n")
/// }
///
/// annulus::run(async {
///     let app = Router::new().route("/", get(who));
///     let listener = UnixListener::bind("/run/app.sock")?;
///     let service = app.into_make_service_with_connect_info::<UnixConnectInfo>();
///     annulus_axum::serve(listener, service).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnixConnectInfo {
    /// The address of the peer, which is unnamed unless it has bound its socket.
    pub peer_addr: std::os::unix::net::SocketAddr,
}

impl Connected<IncomingStream<'_, UnixListener>> for UnixConnectInfo {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { peer_addr: stream.remote_addr().clone() }
    }
}
