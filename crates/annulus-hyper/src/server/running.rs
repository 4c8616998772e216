//! A server that runs.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use annulus::Shutdown;
use annulus::net::{Connection, ShutdownOptions, ShutdownReport};

use super::connections::Connections;
use super::counters::Counters;
use super::listener::Listener;

/// The connections that the runtime's listener of a `L` accepts.
type Stream<L> = <<L as Listener>::Socket as annulus::net::Listener>::Stream;

/// A running server; made by [`Serve::start`](super::Serve::start).
///
/// Clones are of the same server. When the last is dropped the server is [closed](Self::close).
#[must_use = "a server that is dropped is closed"]
pub struct Server<L: Listener> {
    server: annulus::net::Server<Stream<L>>,
    connections: Rc<Drains>,
}

/// Ends the connections when it is dropped.
struct Drains(Rc<Connections>);

impl Drop for Drains {
    fn drop(&mut self) {
        self.0.drain();
    }
}

impl<L: Listener> Server<L> {
    pub(super) fn new(
        server: annulus::net::Server<Stream<L>>,
        connections: Rc<Connections>,
    ) -> Self {
        Self { server, connections: Rc::new(Drains(connections)) }
    }

    /// The address that it listens on, or listened on before it was closed.
    pub fn local_addr(&self) -> &<Stream<L> as Connection>::Addr {
        &self.server.local_addrs()[0]
    }

    /// Whether it accepts connections.
    pub fn is_serving(&self) -> bool {
        self.server.is_serving()
    }

    /// How many connections are being served now, among them those that have been upgraded.
    pub fn active_connections(&self) -> usize {
        self.server.active_connections()
    }

    /// How many requests are in flight: from the arrival of the head until the whole response has
    /// been handed to hyper.
    pub fn active_requests(&self) -> usize {
        self.connections.0.in_flight()
    }

    /// What has been counted since the server was started.
    pub fn counters(&self) -> Counters {
        self.connections.0.counters().read()
    }

    /// Waits until the server is closed, or can no more listen.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the server.
    pub async fn serve_forever(&self) {
        let _drains = Drains(Rc::clone(&self.connections.0));
        self.server.serve_forever().await;
    }

    /// Serves until the end is requested, and then ends the server in order.
    ///
    /// 1. At the [request](Shutdown::request), or when the server is closed, it stops listening.
    ///    What had arrived, even in the kernel's backlog, is served. Requests in flight are
    ///    answered, with `Connection: close` or, in HTTP/2, after a GOAWAY. Connections without any
    ///    are closed, those of HTTP/1 after
    ///    [`keep_alive_linger`](super::Serve::keep_alive_linger).
    /// 2. Connections that have not ended after [`ShutdownOptions::grace`] meet EOF, and have
    ///    [`ShutdownOptions::soft_grace`] to end: these are mostly those that have been upgraded.
    /// 3. The rest is aborted.
    ///
    /// If the end is [forced](Shutdown::force), as by a second signal, the third step follows at
    /// once.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the server is closed, and neither the second step follows nor the third.
    pub async fn serve_until(
        &self,
        shutdown: &Shutdown,
        options: &ShutdownOptions,
    ) -> ShutdownReport {
        let drains = Drains(Rc::clone(&self.connections.0));
        let mut served = pin!(self.server.serve_until(shutdown, options));
        let mut requested = pin!(shutdown.requested());
        poll_fn(|context| {
            let served = served.as_mut().poll(context);
            let mut is_ending =
                || !self.is_serving() || requested.as_mut().poll(context).is_ready();
            if !drains.0.is_draining() && is_ending() {
                drains.0.drain();
            }
            served
        })
        .await
    }

    /// Stops listening, and ends each connection when its requests in flight are answered.
    ///
    /// What had arrived, even in the kernel's backlog, is served. See
    /// [`serve_until`](Self::serve_until) for an end within a time limit.
    pub fn close(&self) {
        self.server.close();
        self.connections.0.drain();
    }

    /// Waits until the server has been closed and all its connections have ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn wait_closed(&self) {
        self.server.wait_closed().await;
    }

    /// Closes the server, and aborts connections that do not end in time.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the server is closed and nothing is aborted.
    #[doc(alias = "graceful_shutdown")]
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        self.connections.0.drain();
        self.server.shutdown(grace).await
    }
}

// Derived, it would be for listeners that can be cloned only.
impl<L: Listener> Clone for Server<L> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), connections: Rc::clone(&self.connections) }
    }
}

impl<L: Listener> fmt::Debug for Server<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", self.local_addr())
            .field("is_serving", &self.is_serving())
            .field("connections", &self.active_connections())
            .field("requests", &self.active_requests())
            .finish()
    }
}
