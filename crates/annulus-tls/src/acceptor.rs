//! Handshakes of the server's side.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use annulus::net::{Polled, StreamReader, StreamWriter};
use rustls::{ServerConfig, ServerConnection};

use crate::error::failed;
use crate::handshake::{DEFAULT_TIMEOUT, handshake};
use crate::stream::TlsStream;
use crate::transport::{IntoTransport, Transport, Upgrade};

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

    /// Turns a connection that was read and written without TLS into one with it.
    ///
    /// What was written before is sent first. What the client has sent behind the command that
    /// began TLS, and was received already, is taken for its handshake: nothing that came in the
    /// clear is ever read as if it had come through TLS.
    ///
    /// # Errors
    ///
    /// Those of [`accept`](Self::accept), and that of an earlier write or read.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the connection.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::{StreamReader, StreamWriter};
    /// use annulus_tls::TlsAcceptor;
    ///
    /// async fn mail(
    ///     mut reader: StreamReader,
    ///     mut writer: StreamWriter,
    ///     acceptor: &TlsAcceptor,
    /// ) -> std::io::Result<()> {
    ///     if reader.read_line().await?.trim_ascii() == b"STARTTLS" {
    ///         writer.write("220 go ahead\r\n").await?;
    ///         let stream = acceptor.start_tls(reader, writer).await?;
    ///         let (mut reader, mut writer) = stream.into_buffered();
    ///         let line = reader.read_line().await?;
    ///         writer.write(&line).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "asyncio.loop.start_tls")]
    pub async fn start_tls<S: Upgrade>(
        &self,
        reader: StreamReader<S>,
        writer: StreamWriter<S>,
    ) -> io::Result<TlsStream<Polled<S>>> {
        self.accept(Polled::new(S::reunite(reader, writer).await?)).await
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
