//! Handshakes of the server's side.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

use crate::error::failed;
use crate::handshake::{DEFAULT_TIMEOUT, handshake};
use crate::stream::TlsStream;
use crate::transport::{IntoTransport, Transport};

/// Accepts TLS on connections that have been accepted.
///
/// Clones share the configuration, and with it the sessions that clients may resume. It may go to
/// other threads: one for all shards.
///
/// A handshake that is not completed within ten seconds fails; see
/// [`handshake_timeout`](Self::handshake_timeout).
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    options: Options,
}

/// What applies to each connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) handshake_timeout: Duration,
    buffer_limit: Option<usize>,
}

impl Options {
    pub(crate) const fn new() -> Self {
        Self { handshake_timeout: DEFAULT_TIMEOUT, buffer_limit: None }
    }

    pub(crate) async fn accept<T: Transport>(
        self,
        mut connection: ServerConnection,
        transport: T,
    ) -> io::Result<TlsStream<T>> {
        if let Some(bytes) = self.buffer_limit {
            connection.set_buffer_limit(Some(bytes));
        }
        handshake(connection, transport, self.handshake_timeout).await
    }
}

impl TlsAcceptor {
    /// Creates an acceptor.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self { config, options: Options::new() }
    }

    /// Sets how long a handshake may take: ten seconds by default.
    ///
    /// It bounds what clients hold that connect and do nothing.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.options.handshake_timeout = limit;
        self
    }

    /// Sets how many bytes of unsent records each connection keeps: 64 KiB by default.
    ///
    /// # Panics
    ///
    /// If the limit is zero: no byte could be written.
    #[must_use]
    #[track_caller]
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        assert!(bytes > 0, "the limit of unsent records must be at least one byte");
        self.options.buffer_limit = Some(bytes);
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Completes a handshake with a client.
    ///
    /// # Errors
    ///
    /// Of the kind `InvalidData` if TLS fails: [`tls_error`](crate::tls_error) tells how. The
    /// client gets an alert. `TimedOut` after the [limit](Self::handshake_timeout),
    /// `UnexpectedEof` if the client closes the connection, and the errors of the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the connection.
    pub async fn accept<S: IntoTransport>(&self, stream: S) -> io::Result<TlsStream<S::Transport>> {
        let connection = new_connection(Arc::clone(&self.config))?;
        self.options.accept(connection, stream.into_transport()).await
    }
}

fn new_connection(config: Arc<ServerConfig>) -> io::Result<ServerConnection> {
    ServerConnection::new(config).map_err(|error| failed("TLS server", error))
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self::new(config)
    }
}

impl From<ServerConfig> for TlsAcceptor {
    fn from(config: ServerConfig) -> Self {
        Self::new(Arc::new(config))
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").field("options", &self.options).finish_non_exhaustive()
    }
}
