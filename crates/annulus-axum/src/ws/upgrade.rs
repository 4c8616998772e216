//! The extractor: whether a request is a WebSocket handshake, and the response that completes it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::time::Duration;

use annulus::sync::oneshot;
use annulus_hyper::Io;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::closing::{close, run_callback};
use super::rejection::WebSocketUpgradeRejection;
use super::socket::WebSocket;
use crate::service::ServerEnds;

/// What a message and a frame may have, unless the handler says otherwise.
const MAX_MESSAGE_SIZE: usize = 16 << 20;

/// Large enough for most messages, and what an idle connection holds. It is cleared before each
/// read, so a larger one costs small messages more than it saves large ones.
const READ_BUFFER_SIZE: usize = 8 << 10;

/// From which size on messages that are not flushed are written. It is allocated as needed.
const WRITE_BUFFER_SIZE: usize = 64 << 10;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The extractor that makes a request a WebSocket.
///
/// In HTTP/1 the request must be a `GET`, in HTTP/2 it is a `CONNECT`; a route for both is
/// [`any`](axum::routing::any). A request that is no handshake is answered by its
/// [rejection](WebSocketUpgradeRejection). See the [module](super) for an example.
///
/// Where a request comes from is not checked: a browser sends WebSocket handshakes with cookies to
/// any server that a page names. A server that relies on cookies compares the header `Origin`.
#[must_use = "a WebSocket begins with the response that `on_upgrade` returns"]
pub struct WebSocketUpgrade {
    config: WebSocketConfig,
    close_timeout: Duration,
    /// What the client named.
    requested_protocols: Vec<HeaderValue>,
    /// What the response says.
    protocol: Option<HeaderValue>,
    /// `None` in HTTP/2, which needs none.
    accept: Option<HeaderValue>,
    on_upgrade: OnUpgrade,
    /// Of the server that the request came to, unless it is another's.
    server_ends: Option<ServerEnds>,
}

impl WebSocketUpgrade {
    /// Sets how many bytes a message may have, over all its frames.
    ///
    /// 16 MiB by default. A longer one ends the connection with code 1009.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.config.max_message_size = Some(bytes);
        self
    }

    /// Sets how many bytes a frame may have, without its header.
    ///
    /// 16 MiB by default. A longer one ends the connection with code 1009.
    pub fn max_frame_size(mut self, bytes: usize) -> Self {
        self.config.max_frame_size = Some(bytes);
        self
    }

    /// Sets the size of the buffer into which the connection is read, in bytes.
    ///
    /// 8 KiB by default. Each connection holds it all the time; messages may be larger.
    pub fn read_buffer_size(mut self, bytes: usize) -> Self {
        self.config.read_buffer_size = bytes;
        self
    }

    /// Sets from how many bytes on messages are written that have not been flushed.
    ///
    /// 64 KiB by default. It matters to [`feed`](futures_util::SinkExt::feed) only:
    /// [`WebSocket::send`] flushes.
    ///
    /// # Panics
    ///
    /// [`on_upgrade`](Self::on_upgrade) does, if this is not less than
    /// [`max_write_buffer_size`](Self::max_write_buffer_size).
    pub fn write_buffer_size(mut self, bytes: usize) -> Self {
        self.config.write_buffer_size = bytes;
        self
    }

    /// Sets how many bytes may wait for a peer that does not read.
    ///
    /// No limit by default, and none is needed by a callback that waits for each
    /// [`send`](WebSocket::send). Beyond it sending fails.
    pub fn max_write_buffer_size(mut self, bytes: usize) -> Self {
        self.config.max_write_buffer_size = bytes;
        self
    }

    /// Accepts frames that the client has not masked, against RFC 6455. Off by default.
    pub fn accept_unmasked_frames(mut self, accept: bool) -> Self {
        self.config.accept_unmasked_frames = accept;
        self
    }

    /// Sets how long the peer may take to answer a Close frame; 5 seconds by default.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Chooses the first of these protocols that the client knows, if there is one.
    ///
    /// The response names it, and [`WebSocket::protocol`] returns it.
    ///
    /// # Example
    ///
    /// ```
    /// # use annulus_axum::ws::WebSocketUpgrade;
    /// # use axum::response::Response;
    /// async fn graphql(request: WebSocketUpgrade) -> Response {
    ///     request.protocols(["graphql-transport-ws", "graphql-ws"]).on_upgrade(async |socket| {
    ///         println!("chosen: {:?}", socket.protocol());
    ///     })
    /// }
    /// ```
    pub fn protocols<P>(mut self, known: impl IntoIterator<Item = P>) -> Self
    where
        P: Into<Cow<'static, str>>,
    {
        self.protocol = known.into_iter().map(Into::into).find_map(|known| {
            let of_client = |it: &&HeaderValue| it.as_bytes() == known.as_bytes();
            self.requested_protocols.iter().find(of_client).cloned()
        });
        self
    }

    /// Returns the protocols that the client named, in its order.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &HeaderValue> {
        self.requested_protocols.iter()
    }

    /// Sets the protocol that the response names.
    ///
    /// It replaces what [`protocols`](Self::protocols) chose.
    ///
    /// Clients fail the connection if they have not named it.
    pub fn set_selected_protocol(&mut self, protocol: HeaderValue) {
        self.protocol = Some(protocol);
    }

    /// Returns the protocol that the response will name.
    pub fn selected_protocol(&self) -> Option<&HeaderValue> {
        self.protocol.as_ref()
    }

    /// Returns the response that upgrades the connection, and calls `callback` when it is upgraded.
    ///
    /// The callback runs in a task of its own, on this thread. It is not called if the connection
    /// ends before the upgrade; [`on_upgrade_or`](Self::on_upgrade_or) tells.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn on_upgrade<C, F>(self, callback: C) -> Response
    where
        C: FnOnce(WebSocket) -> F + 'static,
        F: Future<Output = ()> + 'static,
    {
        self.on_upgrade_or(callback, |_| ())
    }

    /// Like [`on_upgrade`](Self::on_upgrade), and calls `failed` if the connection is not upgraded.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "on_failed_upgrade")]
    pub fn on_upgrade_or<C, F>(
        self,
        callback: C,
        failed: impl FnOnce(axum::Error) + 'static,
    ) -> Response
    where
        C: FnOnce(WebSocket) -> F + 'static,
        F: Future<Output = ()> + 'static,
    {
        let Self { config, close_timeout, protocol, accept, on_upgrade, server_ends, .. } = self;
        let response = accepted(accept, protocol.clone());
        annulus::spawn(async move {
            let upgraded = match on_upgrade.await {
                Ok(upgraded) => Io::new(upgraded),
                Err(error) => return failed(axum::Error::new(error)),
            };
            let stream =
                WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
            let (give_back, given_back) = oneshot::channel();
            let socket = WebSocket::new(stream, protocol, server_ends, give_back);
            let panic = run_callback(callback, socket).await;
            if let Ok(remains) = given_back.await {
                close(remains, panic.is_some(), close_timeout).await;
            }
            if let Some(panic) = panic {
                resume_unwind(panic);
            }
        });
        response
    }
}

/// The response that accepts the handshake.
fn accepted(accept: Option<HeaderValue>, protocol: Option<HeaderValue>) -> Response {
    let mut response = Response::new(Body::empty());
    // In HTTP/2 any 2xx accepts (RFC 8441).
    if let Some(accept) = accept {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = protocol {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("config", &self.config)
            .field("requested_protocols", &self.requested_protocols)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let accept = match parts.version {
            Version::HTTP_2 | Version::HTTP_3 => {
                check_connect(parts)?;
                None
            }
            _ => Some(check_get(parts)?),
        };
        if !is_only_value(&parts.headers, header::SEC_WEBSOCKET_VERSION, b"13") {
            return Err(WebSocketUpgradeRejection::InvalidWebSocketVersionHeader);
        }
        let on_upgrade = parts
            .extensions
            .remove::<OnUpgrade>()
            .ok_or(WebSocketUpgradeRejection::ConnectionNotUpgradable)?;
        Ok(Self {
            config: WebSocketConfig::default()
                .max_message_size(Some(MAX_MESSAGE_SIZE))
                .max_frame_size(Some(MAX_MESSAGE_SIZE))
                .read_buffer_size(READ_BUFFER_SIZE)
                .write_buffer_size(WRITE_BUFFER_SIZE),
            close_timeout: CLOSE_TIMEOUT,
            requested_protocols: tokens(&parts.headers, header::SEC_WEBSOCKET_PROTOCOL)
                .filter_map(|token| HeaderValue::from_bytes(token).ok())
                .collect(),
            protocol: None,
            accept,
            on_upgrade,
            server_ends: parts.extensions.remove(),
        })
    }
}

/// Checks a handshake of HTTP/1, and returns the value of `Sec-WebSocket-Accept`.
fn check_get(parts: &Parts) -> Result<HeaderValue, WebSocketUpgradeRejection> {
    if parts.method != Method::GET {
        return Err(WebSocketUpgradeRejection::MethodNotGet);
    }
    let has_token = |name, wanted: &[u8]| {
        tokens(&parts.headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
    };
    if !has_token(header::UPGRADE, b"websocket") {
        return Err(WebSocketUpgradeRejection::InvalidUpgradeHeader);
    }
    if !has_token(header::CONNECTION, b"upgrade") {
        return Err(WebSocketUpgradeRejection::InvalidConnectionHeader);
    }
    let invalid = WebSocketUpgradeRejection::InvalidWebSocketKeyHeader;
    let key = only_value(&parts.headers, header::SEC_WEBSOCKET_KEY).ok_or(invalid)?;
    if !is_base64_of_16_bytes(key) {
        return Err(invalid);
    }
    Ok(HeaderValue::try_from(derive_accept_key(key)).expect("base64 is a header value"))
}

/// Checks a handshake of HTTP/2 (RFC 8441).
fn check_connect(parts: &Parts) -> Result<(), WebSocketUpgradeRejection> {
    if parts.method != Method::CONNECT {
        return Err(WebSocketUpgradeRejection::MethodNotConnect);
    }
    #[cfg(feature = "http2")]
    if parts.extensions.get::<hyper::ext::Protocol>().is_none_or(|it| it.as_str() != "websocket") {
        return Err(WebSocketUpgradeRejection::InvalidProtocolPseudoheader);
    }
    Ok(())
}

/// The members of a header that is a list, over all its lines.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// The value of a header that must not be repeated.
fn only_value(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes().trim_ascii()),
        _ => None,
    }
}

fn is_only_value(headers: &HeaderMap, name: HeaderName, wanted: &[u8]) -> bool {
    only_value(headers, name) == Some(wanted)
}

/// Whether a key is one by its form. What it encodes does not matter.
fn is_base64_of_16_bytes(key: &[u8]) -> bool {
    let Some(digits) = key.strip_suffix(b"==") else { return false };
    digits.len() == 22
        && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_24_characters_of_base64() {
        assert!(is_base64_of_16_bytes(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for wrong in [
            &b""[..],
            b"==",
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQ===",
            b"dGhlIHNhbXBsZSBub25jZ!==",
            b"dGhlIHNhbXBsZSBub25jZQAA",
        ] {
            assert!(!is_base64_of_16_bytes(wrong), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn the_members_of_a_list_are_found_over_all_lines_of_the_header() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive, , Upgrade"));
        headers.append(header::CONNECTION, HeaderValue::from_static("x"));
        let found: Vec<_> = tokens(&headers, header::CONNECTION).collect();
        assert_eq!(found, [&b"keep-alive"[..], b"Upgrade", b"x"]);
    }

    #[test]
    fn a_header_that_is_repeated_has_no_only_value() {
        let mut headers = HeaderMap::new();
        headers.append(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        assert!(is_only_value(&headers, header::SEC_WEBSOCKET_VERSION, b"13"));
        headers.append(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        assert!(!is_only_value(&headers, header::SEC_WEBSOCKET_VERSION, b"13"));
    }
}
