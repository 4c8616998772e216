//! What a server counts.

use std::cell::Cell;

/// A number that grows.
#[derive(Debug, Default)]
pub(super) struct Count(Cell<u64>);

impl Count {
    pub(super) fn increment(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// What a server counts, while it counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: Count,
    pub(super) upgrades: Count,
    pub(super) service_failures: Count,
    pub(super) header_timeouts: Count,
    pub(super) idle_timeouts: Count,
    pub(super) setup_failures: Count,
    pub(super) protocol_errors: Count,
    pub(super) departed_peers: Count,
}

/// What a server has counted since it was started.
///
/// Returned by [`Server::counters`](super::Server::counters).
///
/// # Example
///
/// ```
/// use annulus_hyper::server::Counters;
///
/// let none = Counters::default();
/// assert_eq!(none.requests + none.header_timeouts, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests whose head has arrived.
    pub requests: u64,
    /// Connections that became something else than HTTP, such as a WebSocket.
    pub upgrades: u64,
    /// Requests that the service answered by an error.
    ///
    /// The connection, or the stream of HTTP/2, was reset.
    pub service_failures: u64,
    /// Connections that were closed since the head of a request did not arrive in time.
    pub header_timeouts: u64,
    /// Connections that were closed since no further request arrived in time.
    pub idle_timeouts: u64,
    /// Connections that could not be set up: by TLS, or since their service could not be made.
    pub setup_failures: u64,
    /// Connections whose client violated the protocol, such as by a malformed head.
    pub protocol_errors: u64,
    /// Connections whose client was gone in the middle of a request or a response.
    pub departed_peers: u64,
}

impl Counts {
    pub(super) fn read(&self) -> Counters {
        Counters {
            requests: self.requests.0.get(),
            upgrades: self.upgrades.0.get(),
            service_failures: self.service_failures.0.get(),
            header_timeouts: self.header_timeouts.0.get(),
            idle_timeouts: self.idle_timeouts.0.get(),
            setup_failures: self.setup_failures.0.get(),
            protocol_errors: self.protocol_errors.0.get(),
            departed_peers: self.departed_peers.0.get(),
        }
    }
}
