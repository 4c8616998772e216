//! Handshakes of the client's side.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use annulus::net::{Polled, StreamReader, StreamWriter};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::error::failed;
use crate::handshake::{DEFAULT_TIMEOUT, handshake};
use crate::stream::TlsStream;
use crate::transport::{IntoTransport, Upgrade};

/// Begins TLS on connections that have been opened.
///
/// Clones share the configuration, and with it the sessions that servers may resume.
///
/// A handshake that is not completed within ten seconds fails; see
/// [`handshake_timeout`](Self::handshake_timeout).
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    handshake_timeout: Duration,
}

impl TlsConnector {
    /// Creates a connector.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self { config, handshake_timeout: DEFAULT_TIMEOUT }
    }

    /// Sets how long a handshake may take: ten seconds by default.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Completes a handshake with a server, and verifies that it is `name`.
    ///
    /// The connection itself may lead elsewhere, such as to an address or through a proxy.
    ///
    /// # Errors
    ///
    /// Of the kind `InvalidData` if TLS fails, as when the certificate is not trusted or not that
    /// of `name`: [`tls_error`](crate::tls_error) tells how. The server gets an alert. `TimedOut`
    /// after the [limit](Self::handshake_timeout), `UnexpectedEof` if the server closes the
    /// connection, and the errors of the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the connection.
    pub async fn connect<S: IntoTransport>(
        &self,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<TlsStream<S::Transport>> {
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        let connection = connection.map_err(|error| failed("TLS client", error))?;
        handshake(connection, stream.into_transport(), self.handshake_timeout).await
    }

    /// Turns a connection that was read and written without TLS into one with it.
    ///
    /// What was written before is sent first. What was received and has not been read is taken for
    /// the server's handshake: nothing that came in the clear is ever read as if it had come
    /// through TLS.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect), and that of an earlier write or read.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the connection.
    #[doc(alias = "asyncio.StreamWriter.start_tls")]
    pub async fn start_tls<S: Upgrade>(
        &self,
        name: ServerName<'static>,
        reader: StreamReader<S>,
        writer: StreamWriter<S>,
    ) -> io::Result<TlsStream<Polled<S>>> {
        self.connect(name, Polled::new(S::reunite(reader, writer).await?)).await
    }
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self::new(config)
    }
}

impl From<ClientConfig> for TlsConnector {
    fn from(config: ClientConfig) -> Self {
        Self::new(Arc::new(config))
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}
