//! Why a request is no WebSocket handshake, and the response that says so.

use std::error::Error;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// Why a request could not be upgraded to a WebSocket.
///
/// As a response it has the status that the request deserves, the headers that go with it, and the
/// reason as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebSocketUpgradeRejection {
    /// The method is not `GET`, in HTTP/1 (405).
    MethodNotGet,
    /// The method is not `CONNECT`, in HTTP/2 (405).
    MethodNotConnect,
    /// The header `Connection` does not contain `upgrade` (426).
    InvalidConnectionHeader,
    /// The header `Upgrade` does not contain `websocket` (426).
    InvalidUpgradeHeader,
    /// The pseudo-header `:protocol` of an HTTP/2 request is not `websocket` (400).
    InvalidProtocolPseudoheader,
    /// The header `Sec-WebSocket-Version` is not `13`, the only version of RFC 6455 (426).
    InvalidWebSocketVersionHeader,
    /// The header `Sec-WebSocket-Key` is missing, repeated, or not the base64 of 16 bytes (400).
    InvalidWebSocketKeyHeader,
    /// The connection cannot be upgraded: it is HTTP/1.0, or another extractor has taken it (426).
    ConnectionNotUpgradable,
}

impl WebSocketUpgradeRejection {
    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MethodNotGet | Self::MethodNotConnect => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidConnectionHeader
            | Self::InvalidUpgradeHeader
            | Self::InvalidWebSocketVersionHeader
            | Self::ConnectionNotUpgradable => StatusCode::UPGRADE_REQUIRED,
            Self::InvalidProtocolPseudoheader | Self::InvalidWebSocketKeyHeader => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// What the client has to know to do better.
    fn headers(self) -> &'static [(HeaderName, HeaderValue)] {
        static GET: [(HeaderName, HeaderValue); 1] =
            [(header::ALLOW, HeaderValue::from_static("GET"))];
        static CONNECT: [(HeaderName, HeaderValue); 1] =
            [(header::ALLOW, HeaderValue::from_static("CONNECT"))];
        // RFC 9110, 15.5.22: a 426 says to what to upgrade. RFC 6455, 4.4: and to which version.
        static UPGRADE: [(HeaderName, HeaderValue); 3] = [
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        ];
        match self {
            Self::MethodNotGet => &GET,
            Self::MethodNotConnect => &CONNECT,
            _ if self.status() == StatusCode::UPGRADE_REQUIRED => &UPGRADE,
            _ => &[],
        }
    }
}

impl fmt::Display for WebSocketUpgradeRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MethodNotGet => "the method of a WebSocket request must be GET",
            Self::MethodNotConnect => "the method of a WebSocket request in HTTP/2 must be CONNECT",
            Self::InvalidConnectionHeader => "the header Connection must contain \"upgrade\"",
            Self::InvalidUpgradeHeader => "the header Upgrade must contain \"websocket\"",
            Self::InvalidProtocolPseudoheader => "the header :protocol must be \"websocket\"",
            Self::InvalidWebSocketVersionHeader => {
                "the header Sec-WebSocket-Version must be \"13\""
            }
            Self::InvalidWebSocketKeyHeader => {
                "there must be one header Sec-WebSocket-Key, the base64 of 16 bytes"
            }
            Self::ConnectionNotUpgradable => "this connection cannot be upgraded to a WebSocket",
        })
    }
}

impl Error for WebSocketUpgradeRejection {}

impl IntoResponse for WebSocketUpgradeRejection {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.to_string()).into_response();
        response.headers_mut().extend(self.headers().iter().cloned());
        response
    }
}
