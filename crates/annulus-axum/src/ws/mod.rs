//! WebSockets: an extractor that upgrades a request, and the connection that it becomes.
//!
//! The names are those of `axum::extract::ws`, which cannot be used here: it starts its callback
//! with `tokio::spawn`. [`WebSocketUpgrade::on_upgrade`] starts it with [`annulus::spawn`] instead,
//! so neither the callback nor its future need be `Send`: they may hold an `Rc`, sleep by
//! [`annulus::time::sleep`], and use the connections and files of the runtime.
//!
//! ```
//! use annulus_axum::ws::{Message, WebSocket, WebSocketUpgrade};
//! use axum::Router;
//! use axum::response::Response;
//! use axum::routing::any;
//!
//! async fn upgrade(request: WebSocketUpgrade) -> Response {
//!     request.on_upgrade(echo)
//! }
//!
//! async fn echo(mut socket: WebSocket) {
//!     while let Some(Ok(message)) = socket.recv().await {
//!         if matches!(message, Message::Text(_) | Message::Binary(_))
//!             && socket.send(message).await.is_err()
//!         {
//!             break;
//!         }
//!     }
//! }
//!
//! // `any`: a WebSocket is a GET in HTTP/1, and a CONNECT in HTTP/2.
//! let app: Router = Router::new().route("/echo", any(upgrade));
//! ```
//!
//! # The end of a connection
//!
//! A connection ends with a handshake: each side sends a Close frame. When the callback has dropped
//! its [`WebSocket`], the Close frame is sent and the peer's is awaited, for at most
//! [`close_timeout`](WebSocketUpgrade::close_timeout). Its code is 1000 (normal), or tells what
//! went wrong: 1002, 1007 or 1009 for what the peer sent, 1011 if the callback panicked. To end
//! with another, send a [`Message::Close`].
//!
//! When the server is [asked to end](crate::Serve::with_graceful_shutdown), each WebSocket sends
//! the code 1001 (going away) at its next [`recv`](WebSocket::recv), which then yields what the
//! peer still sends, and `None` when the peer has answered: loops like the one above end by
//! themselves. The server waits for them as for requests.
//!
//! # What a peer can make a connection hold
//!
//! One message of [`max_message_size`](WebSocketUpgrade::max_message_size), read into memory as it
//! arrives, and the [`read_buffer_size`](WebSocketUpgrade::read_buffer_size); while the peer reads
//! nothing, what the callback writes until it waits. Pings are answered, and of several that arrive
//! while the peer reads nothing, the last.

mod closing;
mod rejection;
mod socket;
mod upgrade;

pub use rejection::WebSocketUpgradeRejection;
pub use socket::WebSocket;
pub use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
pub use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
pub use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};
pub use upgrade::WebSocketUpgrade;
