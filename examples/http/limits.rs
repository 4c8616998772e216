//! What one client may take: bytes and time.

use std::time::Duration;

/// How many bytes a request line and its header fields may have together.
pub(crate) const HEAD: usize = 16 * 1024;
/// How many bytes the request line's target may have.
pub(crate) const TARGET: usize = 8 * 1024;
/// How many header fields there may be.
pub(crate) const FIELDS: usize = 100;
/// How many bytes a line with the size of a chunk may have, with its extensions.
pub(crate) const CHUNK_LINE: usize = 256;
/// How many bytes all trailer fields may have.
pub(crate) const TRAILERS: usize = 4 * 1024;

/// The limits that arguments set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many bytes a body may have.
    pub(crate) body: usize,
    /// How many connections a shard serves at a time.
    pub(crate) connections: usize,
    /// How long a connection may wait for its next request.
    pub(crate) idle: Duration,
    /// How long a head may take, from its first byte on.
    pub(crate) head: Duration,
    /// How long a body may take.
    pub(crate) body_time: Duration,
    /// How long a client may take nothing of what is sent.
    pub(crate) send: Duration,
    /// How long requests may take after the server was asked to stop.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1024 * 1024,
            connections: 10_000,
            idle: Duration::from_secs(60),
            head: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            send: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}
