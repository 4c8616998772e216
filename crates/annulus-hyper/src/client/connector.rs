//! How a client connects.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use annulus::net::{TcpStream, UnixStream};
use annulus::task::ThreadBound;
#[cfg(feature = "tls")]
use annulus_tls::rustls::{ClientConfig, pki_types::ServerName};
#[cfg(feature = "tls")]
use annulus_tls::{IntoTransport, TlsConnector, TlsStream};
use http::Uri;
use tower_service::Service;

use super::connection::Connection;

/// Connects the clients of hyper-util, as a service of tower's.
///
/// Names are looked up, and of several addresses the first that answers is taken
/// ([`TcpStream::connect`]). `TCP_NODELAY` is set. Addresses with `https` need the feature `tls`
/// and a configuration of TLS; without they are an error, and nothing is sent in the clear.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    /// Where all connections go, whatever the address of the request.
    path: Option<Arc<PathBuf>>,
    #[cfg(feature = "tls")]
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Connects to the host and port of a request's address, by TCP.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects to a Unix socket, whatever the host of a request's address.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(Arc::new(path.into())), ..Self::default() }
    }

    /// Sets how connections to `https` addresses use TLS, among that which roots are trusted.
    ///
    /// The server is asked for by the host of the address (SNI), and its certificate must be for
    /// that. If the configuration names no protocols (ALPN), servers are offered those versions of
    /// HTTP that this crate is built with, HTTP/2 first.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use annulus_hyper::client::{Connector, client_with};
    /// use annulus_tls::{client_config, roots_from_pem_file};
    /// use http_body_util::{BodyExt, Empty};
    /// use hyper::body::Bytes;
    ///
    /// // Or `native_roots` or `webpki_roots` of `annulus_tls`, by the features of the same names.
    /// let config = client_config(roots_from_pem_file("roots.pem")?)?;
    /// annulus::run(async {
    ///     let client = client_with::<Empty<Bytes>>(Connector::new().tls(config));
    ///     let response = client.get("https://example.org/".parse()?).await?;
    ///     println!("{:?}", response.into_body().collect().await?.to_bytes());
    ///     Ok::<_, Box<dyn std::error::Error>>(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, mut config: ClientConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            let versions = [(cfg!(feature = "http2"), "h2"), (cfg!(feature = "http1"), "http/1.1")];
            let spoken = versions.into_iter().filter_map(|(is_on, name)| is_on.then_some(name));
            config.alpn_protocols = annulus_tls::alpn(spoken);
        }
        self.tls = Some(config.into());
        self
    }

    async fn connect(&self, uri: &Uri) -> io::Result<Connection> {
        let is_secure = match uri.scheme_str() {
            None | Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(refused(uri, "its scheme is neither http nor https")),
        };
        if is_secure && !self.has_tls() {
            let why = "TLS is not configured: enable the feature `tls` of annulus-hyper and give \
                       the connector a configuration by `Connector::tls`";
            return Err(refused(uri, why));
        }
        match &self.path {
            Some(path) => {
                let stream = UnixStream::connect(&**path).await?;
                #[cfg(feature = "tls")]
                if let (true, Some(tls)) = (is_secure, &self.tls) {
                    return Ok(secure(tls, uri, stream).await?.into());
                }
                Ok(stream.into())
            }
            None => {
                let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
                let stream = TcpStream::connect((host_of(uri)?, port)).await?;
                stream.set_nodelay(true)?;
                #[cfg(feature = "tls")]
                if let (true, Some(tls)) = (is_secure, &self.tls) {
                    return Ok(secure(tls, uri, stream).await?.into());
                }
                Ok(stream.into())
            }
        }
    }

    fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let has = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let has = false;
        has
    }
}

/// Completes a handshake with the server of an address.
#[cfg(feature = "tls")]
async fn secure<S: IntoTransport>(
    tls: &TlsConnector,
    uri: &Uri,
    stream: S,
) -> io::Result<TlsStream<S::Transport>> {
    let name = ServerName::try_from(host_of(uri)?.to_owned());
    let name = name.map_err(|_| refused(uri, "its host is no name of a server"))?;
    let connected = tls.connect(name, stream).await;
    connected.map_err(|error| io::Error::new(error.kind(), Failed { uri: uri.clone(), error }))
}

/// A failed handshake, and with whom it failed.
#[cfg(feature = "tls")]
#[derive(Debug)]
struct Failed {
    uri: Uri,
    error: io::Error,
}

#[cfg(feature = "tls")]
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connect to {}: {}", self.uri, self.error)
    }
}

#[cfg(feature = "tls")]
impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

fn refused(uri: &Uri, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("connect to {uri}: {why}"))
}

fn host_of(uri: &Uri) -> io::Result<&str> {
    let host = uri.host().ok_or_else(|| refused(uri, "it has no host"))?;
    // Of an IPv6 address.
    Ok(host.trim_start_matches('[').trim_end_matches(']'))
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let connector = self.clone();
        Connecting(ThreadBound::new(Box::pin(async move { connector.connect(&uri).await })))
    }
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
