//! A handshake within a bound, and what is done when it fails.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use annulus::time::timeout;
use rustls::Connection;

use crate::engine::Engine;
use crate::error::describe;
use crate::stream::TlsStream;
use crate::transport::Transport;

/// The default bound of a handshake.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and for how many bytes, the peer is still heard after an alert. A connection that is
/// closed with unread bytes is reset, and the peer might lose the alert to that.
pub(crate) const ALERT_LINGER: Duration = Duration::from_millis(500);
const ALERT_LINGER_BYTES: usize = 64 * 1024;

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
            Err(describe("TLS handshake", error))
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

/// Shuts down the writing direction, and then discards what the peer still sends.
pub(crate) async fn linger<T: Transport>(transport: &mut T) {
    let mut discarded = 0;
    let ended = poll_fn(|context| {
        ready!(transport.poll_shutdown(context))?;
        poll_discard(transport, context, &mut discarded)
    });
    // The connection is given up in any case.
    let _ = timeout(ALERT_LINGER, ended).await;
}

fn poll_discard<T: Transport>(
    transport: &mut T,
    context: &mut Context<'_>,
    discarded: &mut usize,
) -> Poll<io::Result<()>> {
    while *discarded < ALERT_LINGER_BYTES {
        let count = ready!(transport.poll_fill(context))?.len();
        if count == 0 {
            break;
        }
        transport.consume(count);
        *discarded += count;
    }
    Poll::Ready(Ok(()))
}
