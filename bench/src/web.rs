//! What `http` and `tls` compare: servers that answer each request with the same few bytes.

pub(crate) mod allocations;
pub(crate) mod answers;
pub(crate) mod site;

use bytes::Bytes;
use clap::ValueEnum;

/// The body of `/`.
pub(crate) const BODY: &str = "Hello, World!";

/// The path of a large body.
pub(crate) const LARGE: &str = "/large";

/// The length of the large body.
pub(crate) const LARGE_SIZE: usize = 1024 * 1024;

/// The large body.
pub(crate) fn large_body() -> Bytes {
    static BYTES: [u8; LARGE_SIZE] = [b'x'; LARGE_SIZE];
    Bytes::from_static(&BYTES)
}

/// What a server speaks on its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, from the first byte on.
    Http2,
    /// HTTP/1.1 or HTTP/2 over TLS, as the client chooses.
    Tls,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Tls => "tls",
        }
    }
}
