//! The end of a WebSocket: the callback's, and the connection's.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use annulus::time::timeout;
use futures_util::{FutureExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::socket::{Connection, Remains, WebSocket};

/// Runs a callback, and returns its panic. The peer is told before the panic continues.
pub(super) async fn run_callback<F: Future<Output = ()>>(
    callback: impl FnOnce(WebSocket) -> F,
    socket: WebSocket,
) -> Option<Box<dyn Any + Send>> {
    // The callback is not used after a panic, and what it shares with others is theirs to judge.
    AssertUnwindSafe(async { callback(socket).await }).catch_unwind().await.err()
}

/// What a Close frame says after an error.
pub(super) fn code_of(error: &Error) -> CloseCode {
    match error {
        Error::Protocol(_) => CloseCode::Protocol,
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Capacity(_) => CloseCode::Size,
        _ => CloseCode::Normal,
    }
}

/// Sends a Close frame if none has been sent, and waits until the peer has ended.
pub(super) async fn close(remains: Remains, has_panicked: bool, limit: Duration) {
    let Remains { mut connection, code } = remains;
    let code = if has_panicked { CloseCode::Error } else { code };
    let handshake = async {
        let frame = CloseFrame { code, reason: "".into() };
        // It fails if one has been sent, or the connection has ended. What follows finds out which.
        let _ = connection.close(Some(frame)).await;
        while let Some(Ok(_)) = connection.next().await {}
        // The peer has sent its Close frame, or what is no frame. Bytes that were not read would
        // make the kernel reset the connection, and our frame might be lost.
        let _ = drain(&mut connection).await;
    };
    let _ = timeout(limit, handshake).await;
}

/// Ends the sending, and reads until the peer ends its own.
async fn drain(connection: &mut Connection) -> std::io::Result<()> {
    let io = connection.get_mut();
    poll_fn(|cx| Pin::new(&mut *io).poll_shutdown(cx)).await?;
    let mut buffer = [0; 1024];
    poll_fn(|cx| {
        loop {
            let mut unread = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut unread))?;
            if unread.filled().is_empty() {
                return std::task::Poll::Ready(Ok(()));
            }
        }
    })
    .await
}
