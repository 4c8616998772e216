//! A handshake within a bound, and what is done when it fails.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Poll, ready};
use std::time::Duration;

use annulus::time::timeout;
use rustls::Connection;

use crate::engine::Engine;
use crate::error::{describe, tls_error};
use crate::stream::TlsStream;
use crate::transport::Transport;

/// The default bound of a handshake.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long each step of the end after an alert may take. A connection that is closed with unread
/// bytes is reset, and the peer might lose the alert to that.
pub(crate) const ALERT_LINGER: Duration = Duration::from_millis(500);

/// How many bytes of a peer that does not end are discarded.
const MAX_DISCARDED: usize = 1024 * 1024;

/// Completes a handshake.
pub(crate) async fn handshake<T: Transport>(
    connection: impl Into<Connection>,
    transport: T,
    limit: Duration,
) -> io::Result<TlsStream<T>> {
    // Boxed at once: this future and those around it stay small.
    let mut engine = Box::new(Engine::new(connection.into(), transport));
    match within(limit, poll_fn(|context| engine.poll_handshake(context))).await {
        Ok(()) => Ok(TlsStream::new(engine)),
        Err(error) => {
            if engine.connection.wants_write() {
                let flushed = poll_fn(|context| engine.poll_flush(context));
                if matches!(timeout(ALERT_LINGER, flushed).await, Ok(Ok(()))) {
                    linger(&mut engine.transport).await;
                }
            }
            let is_described = tls_error(&error).is_some();
            Err(if is_described { error } else { describe("TLS handshake", error) })
        }
    }
}

/// Awaits a step of a handshake, within its bound.
pub(crate) async fn within<R>(
    limit: Duration,
    step: impl Future<Output = io::Result<R>>,
) -> io::Result<R> {
    timeout(limit, step).await.unwrap_or_else(|_| {
        let text = format!("the peer has not completed it within {limit:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

/// Shuts down the writing direction behind an alert, and then discards what the peer still sends.
pub(crate) async fn linger<T: Transport>(transport: &mut T) {
    let shut_down = poll_fn(|context| transport.poll_shutdown(context));
    if matches!(timeout(ALERT_LINGER, shut_down).await, Ok(Ok(()))) {
        discard_rest(transport, ALERT_LINGER).await;
    }
}

/// Discards what the peer still sends, until it has ended.
pub(crate) async fn discard_rest<T: Transport>(transport: &mut T, limit: Duration) {
    let mut discarded = 0;
    let ended = poll_fn(|context| {
        while discarded < MAX_DISCARDED {
            let count = match ready!(transport.poll_fill(context)) {
                Ok(bytes) => bytes.len(),
                Err(_) => break,
            };
            if count == 0 {
                break;
            }
            transport.consume(count);
            discarded += count;
        }
        Poll::Ready(())
    });
    // The connection is given up in any case.
    let _ = timeout(limit, ended).await;
}
