//! Connections of annulus for a tonic channel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use annulus::net::{Polled, TcpStream};
use annulus::task::ThreadBound;
use annulus_hyper::Io;
use axum::http::Uri;
use tower_service::Service;

/// Connects to the host and port of an address.
///
/// tonic wants both the future and the connection to be `Send`, and uses them on this thread.
#[derive(Clone, Copy)]
pub(crate) struct Connector;

type Connection = Io<ThreadBound<Polled<TcpStream>>>;

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = io::Error;
    type Future = ThreadBound<Pin<Box<dyn Future<Output = io::Result<Connection>>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        ThreadBound::new(Box::pin(async move {
            let host = uri.host().ok_or_else(|| io::Error::other("the address has no host"))?;
            let host = host.trim_matches(['[', ']']);
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
            stream.set_nodelay(true)?;
            Ok(Io::new(ThreadBound::new(Polled::new(stream))))
        }))
    }
}
