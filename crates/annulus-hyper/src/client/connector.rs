//! How a client connects.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use annulus::net::{TcpStream, UnixStream};
use annulus::task::ThreadBound;
use http::Uri;
use tower_service::Service;

use super::connection::Connection;

/// Connects the clients of hyper-util, as a service of tower's.
///
/// Names are looked up, and of several addresses the first that answers is taken
/// ([`TcpStream::connect`]). `TCP_NODELAY` is set.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    /// Where all connections go, whatever the address of the request.
    path: Option<Arc<PathBuf>>,
}

impl Connector {
    /// Connects to the host and port of a request's address, by TCP.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects to a Unix socket, whatever the host of a request's address.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(Arc::new(path.into())) }
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let path = self.path.clone();
        Connecting(ThreadBound::new(Box::pin(async move {
            match path {
                Some(path) => Ok(UnixStream::connect(&*path).await?.into()),
                None => connect(&uri).await,
            }
        })))
    }
}

async fn connect(uri: &Uri) -> io::Result<Connection> {
    let refused =
        |why| io::Error::new(io::ErrorKind::InvalidInput, format!("connect to {uri}: {why}"));
    if uri.scheme_str().is_some_and(|scheme| scheme != "http") {
        return Err(refused("only http is supported"));
    }
    let host = uri.host().ok_or_else(|| refused("it has no host"))?;
    // Of an IPv6 address.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    Ok(stream.into())
}

/// The future of a [`Connector`].
///
/// # Panics
///
/// When polled on another thread than that of the runtime that it was made on.
pub struct Connecting(ThreadBound<Pin<Box<dyn Future<Output = io::Result<Connection>>>>>);

impl Future for Connecting {
    type Output = io::Result<Connection>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}
