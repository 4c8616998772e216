//! An upgraded connection, as a stream and a sink of messages.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use annulus::sync::oneshot;
use annulus_hyper::Io;
use futures_util::stream::FusedStream;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::HeaderValue;
use hyper::upgrade::Upgraded;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::closing::code_of;
use crate::service::ServerEnds;

pub(super) type Connection = WebSocketStream<Io<Upgraded>>;

/// What a dropped [`WebSocket`] leaves to the task that ends the connection.
pub(super) struct Remains {
    pub(super) connection: Connection,
    /// What a Close frame has to say.
    pub(super) code: CloseCode,
}

/// A WebSocket: a stream and a sink of messages.
///
/// [`StreamExt::split`] makes two halves of it, which may be used in two tasks. Dropped, it ends
/// the connection in order: see [the module](super#the-end-of-a-connection).
pub struct WebSocket {
    /// `None` in the destructor only.
    connection: Option<Connection>,
    /// `None` in the destructor only.
    give_back: Option<oneshot::Sender<Remains>>,
    protocol: Option<HeaderValue>,
    /// Completes when the server ends; `None` if it has, or does not tell.
    server_ends: Option<Pin<Box<dyn Future<Output = ()>>>>,
    code: CloseCode,
}

impl WebSocket {
    pub(super) fn new(
        connection: Connection,
        protocol: Option<HeaderValue>,
        server_ends: Option<ServerEnds>,
        give_back: oneshot::Sender<Remains>,
    ) -> Self {
        Self {
            connection: Some(connection),
            give_back: Some(give_back),
            protocol,
            server_ends: server_ends.map(|it| Box::pin(it.wait()) as Pin<Box<_>>),
            code: CloseCode::Normal,
        }
    }

    /// Receives the next message, or `None` when the connection has ended.
    ///
    /// A Ping is answered before it is returned. A Close frame is the last message; it is answered,
    /// too. After an error there is no other message.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: the next call continues.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        self.next().await
    }

    /// Sends a message, and waits until the connection has taken it.
    ///
    /// # Errors
    ///
    /// If the connection has ended, or a Close frame has been sent.
    ///
    /// # Cancel safety
    ///
    /// Dropped while an earlier message waits for the peer to read, it has not sent the message;
    /// dropped later, the message is sent as a whole, with the next one or the end of the
    /// connection.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        SinkExt::send(self, message).await
    }

    /// Returns the protocol that the handshake chose.
    pub fn protocol(&self) -> Option<&HeaderValue> {
        self.protocol.as_ref()
    }

    fn connection(&mut self) -> Pin<&mut Connection> {
        Pin::new(self.connection.as_mut().expect("a WebSocket is not used in its destructor"))
    }

    /// Tells the peer that the server ends, once it does.
    fn poll_server_ends(&mut self, cx: &mut Context<'_>) {
        let ends = self.server_ends.as_mut().is_some_and(|it| it.as_mut().poll(cx).is_ready());
        if ends {
            self.server_ends = None;
            self.code = CloseCode::Away;
            let frame = CloseFrame { code: CloseCode::Away, reason: "server shutdown".into() };
            // This writes the frame, or queues it behind what the peer has not read. It fails where
            // a Close frame has been sent or received, which will do.
            let _ = self.connection().start_send(Message::Close(Some(frame)));
        }
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.poll_server_ends(cx);
        let item = ready!(this.connection().poll_next(cx));
        if let Some(Err(error)) = &item {
            this.code = code_of(error);
        }
        Poll::Ready(item)
    }
}

impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.connection.as_ref().is_none_or(FusedStream::is_terminated)
    }
}

impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().connection().poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.get_mut().connection().start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().connection().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().connection().poll_close(cx)
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        if let (Some(connection), Some(give_back)) = (self.connection.take(), self.give_back.take())
        {
            // If the task is gone, so is the connection.
            let _ = give_back.send(Remains { connection, code: self.code });
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
