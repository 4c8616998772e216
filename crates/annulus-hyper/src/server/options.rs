//! How a server speaks HTTP.

use std::time::Duration;

#[cfg(feature = "http1")]
use hyper::server::conn::http1;
#[cfg(feature = "http2")]
use hyper::server::conn::http2;

use super::connections::Times;
use super::version::Protocol;
#[cfg(feature = "http2")]
use crate::rt::Executor;
use crate::rt::Timer;

/// How a server speaks HTTP; the defaults are those that [`Serve`](super::Serve) documents.
pub(super) struct Options {
    pub(super) protocol: Protocol,
    pub(super) times: Times,
    pub(super) setup_timeout: Duration,
    pub(super) keep_alive_linger: Duration,
    #[cfg(feature = "http1")]
    pub(super) http1: http1::Builder,
    #[cfg(feature = "http2")]
    pub(super) http2: http2::Builder<Executor>,
}

impl Options {
    pub(super) fn new() -> Self {
        Self {
            protocol: Protocol::Auto,
            times: Times {
                head: Some(Duration::from_secs(30)),
                request: Some(Duration::from_secs(75)),
            },
            setup_timeout: Duration::from_secs(10),
            keep_alive_linger: Duration::from_millis(500),
            #[cfg(feature = "http1")]
            http1: http1_defaults(),
            #[cfg(feature = "http2")]
            http2: http2_defaults(),
        }
    }
}

/// The defaults of hyper, without its timer for heads: the server has its own.
#[cfg(feature = "http1")]
fn http1_defaults() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(Timer).header_read_timeout(None);
    builder
}

/// The defaults of hyper, of which those that bound what a client may cost are said here, so that
/// they do not change with its version.
#[cfg(feature = "http2")]
fn http2_defaults() -> http2::Builder<Executor> {
    let mut builder = http2::Builder::new(Executor);
    builder
        .timer(Timer)
        .max_concurrent_streams(200)
        // Streams that a client resets before they are handled ("rapid reset").
        .max_pending_accept_reset_streams(20)
        // Streams that a client makes the server reset.
        .max_local_error_reset_streams(1024)
        .max_header_list_size(16 * 1024)
        .max_send_buf_size(400 * 1024);
    builder
}
