//! The versions of HTTP that a server speaks.

/// What a client of HTTP/2 sends first.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Which versions of HTTP a server speaks; for [`Serve::protocol`](super::Serve::protocol).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Those that this crate is built with: what the client sends first says which it is.
    #[default]
    Auto,
    /// HTTP/1.0 and 1.1.
    #[cfg(feature = "http1")]
    Http1,
    /// HTTP/2, without an upgrade from HTTP/1: the client must know beforehand.
    #[cfg(feature = "http2")]
    Http2,
}

impl Protocol {
    /// The only version that is spoken, if there is one.
    pub(super) fn only(self) -> Option<Version> {
        match self {
            #[cfg(feature = "http1")]
            Self::Http1 => Some(Version::Http1),
            #[cfg(feature = "http2")]
            Self::Http2 => Some(Version::Http2),
            Self::Auto if cfg!(not(feature = "http2")) => Some(Version::Http1),
            Self::Auto if cfg!(not(feature = "http1")) => Some(Version::Http2),
            Self::Auto => None,
        }
    }
}
