//! Handshakes of which the configuration is chosen after the client's first message.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use annulus::time::{now, timeout};
use rustls::ServerConfig;
use rustls::server::{Accepted, AcceptedAlert, Acceptor, ClientHello};

use crate::acceptor::Options;
use crate::error::{describe, failed};
use crate::handshake::{ALERT_LINGER, linger, within};
use crate::stream::TlsStream;
use crate::transport::{IntoTransport, Transport};

/// Reads the client's first message before a configuration is chosen.
///
/// A server that serves many names may load the certificate of each when a client asks for it,
/// even from a file or another server: nothing has been answered yet.
///
/// The [limit](Self::handshake_timeout) is that of the whole handshake.
#[derive(Clone, Copy, Debug)]
pub struct LazyAcceptor {
    options: Options,
}

impl LazyAcceptor {
    /// Creates an acceptor.
    pub fn new() -> Self {
        Self { options: Options::new() }
    }

    /// Sets how long a handshake may take: ten seconds by default.
    ///
    /// What the program does between the two steps counts.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.options.handshake_timeout = limit;
        self
    }

    /// Reads the client's first message.
    ///
    /// # Errors
    ///
    /// Those of `TlsAcceptor::accept`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the connection.
    pub async fn accept<S: IntoTransport>(
        &self,
        stream: S,
    ) -> io::Result<StartedHandshake<S::Transport>> {
        let (mut transport, began) = (stream.into_transport(), now());
        let read = read_client_hello(&mut transport);
        let accepted = match within(self.options.handshake_timeout, read).await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err((error, alert))) => {
                refuse(&mut transport, alert).await;
                return Err(failed("TLS handshake", error));
            }
            Err(error) => return Err(describe("TLS handshake", error)),
        };
        let mut options = self.options;
        let elapsed = now().saturating_duration_since(began);
        options.handshake_timeout = options.handshake_timeout.saturating_sub(elapsed);
        Ok(StartedHandshake { accepted, transport, options })
    }
}

impl Default for LazyAcceptor {
    fn default() -> Self {
        Self::new()
    }
}

/// A handshake of which the client's first message has been read.
///
/// Dropping it closes the connection.
pub struct StartedHandshake<T> {
    accepted: Accepted,
    transport: T,
    options: Options,
}

impl<T: Transport> StartedHandshake<T> {
    /// What the client offers: the name it asks for, its ALPN protocols, its cipher suites.
    pub fn client_hello(&self) -> ClientHello<'_> {
        self.accepted.client_hello()
    }

    /// The connection below.
    pub fn get_ref(&self) -> &T {
        &self.transport
    }

    /// Completes the handshake with a configuration.
    ///
    /// # Errors
    ///
    /// Those of `TlsAcceptor::accept`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the connection.
    pub async fn accept(self, config: Arc<ServerConfig>) -> io::Result<TlsStream<T>> {
        let Self { accepted, mut transport, options } = self;
        match accepted.into_connection(config) {
            Ok(connection) => options.accept(connection, transport).await,
            Err((error, alert)) => {
                refuse(&mut transport, alert).await;
                Err(failed("TLS handshake", error))
            }
        }
    }
}

impl<T> fmt::Debug for StartedHandshake<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hello = self.accepted.client_hello();
        f.debug_struct("StartedHandshake")
            .field("server_name", &hello.server_name())
            .finish_non_exhaustive()
    }
}

/// Reads until the client's first message is complete, or rustls refuses it.
async fn read_client_hello<T: Transport>(
    transport: &mut T,
) -> io::Result<Result<Accepted, (rustls::Error, AcceptedAlert)>> {
    let mut acceptor = Acceptor::default();
    poll_fn(|context| {
        loop {
            let mut bytes = ready!(transport.poll_fill(context))?;
            if bytes.is_empty() {
                let text = "the peer closed the connection before its first message";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            let count = acceptor.read_tls(&mut bytes)?;
            transport.consume(count);
            match acceptor.accept() {
                Ok(None) if count > 0 => {}
                Ok(None) => {
                    let text = "the first message of the peer is too long";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                Ok(Some(accepted)) => return Poll::Ready(Ok(Ok(accepted))),
                Err(refused) => return Poll::Ready(Ok(Err(refused))),
            }
        }
    })
    .await
}

/// Sends the alert with which rustls refuses a client.
async fn refuse<T: Transport>(transport: &mut T, mut alert: AcceptedAlert) {
    let mut bytes = Vec::new();
    alert.write_all(&mut bytes).expect("a vector takes all");
    let mut sent = 0;
    let send = poll_fn(|context| {
        while sent < bytes.len() {
            sent +=
                ready!(transport.poll_write_vectored(context, &[IoSlice::new(&bytes[sent..])]))?;
        }
        transport.poll_flush(context)
    });
    if matches!(timeout(ALERT_LINGER, send).await, Ok(Ok(()))) {
        linger(transport).await;
    }
}
