//! A server that runs.

use std::fmt;
use std::pin::pin;

use annulus::Shutdown;
use annulus::net::{ShutdownOptions, ShutdownReport};
use annulus_hyper::server::{self as hyper_server, Listener};
use futures_util::future::{Either, select};

use crate::serve::LocalAddr;
use crate::service::ServerEnds;

/// A running server; made by [`Serve::start`](crate::Serve::start).
///
/// Dropped, it is [closed](Self::close).
#[must_use = "a server that is dropped is closed"]
pub struct Server<L: Listener> {
    server: hyper_server::Server<L>,
    server_ends: ServerEnds,
}

impl<L: Listener> Server<L> {
    pub(crate) fn new(server: hyper_server::Server<L>, server_ends: ServerEnds) -> Self {
        Self { server, server_ends }
    }

    /// Returns the server of `annulus-hyper`, which counts its connections, requests and failures.
    ///
    /// End the server by the methods here: those of `annulus-hyper` do not tell WebSockets.
    pub fn get_ref(&self) -> &hyper_server::Server<L> {
        &self.server
    }

    /// Returns the address that the server listens on, or listened on before it was closed.
    pub fn local_addr(&self) -> &LocalAddr<L> {
        self.server.local_addr()
    }

    /// Waits until the server is closed, or can no more listen.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the server.
    pub async fn serve_forever(&self) {
        self.server.serve_forever().await;
    }

    /// Serves until the end is requested; see [`Serve::serve_until`](crate::Serve::serve_until).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the server is closed: connections end when their requests in flight are answered.
    pub async fn serve_until(
        &self,
        shutdown: &Shutdown,
        options: &ShutdownOptions,
    ) -> ShutdownReport {
        let serving = pin!(self.server.serve_until(shutdown, options));
        match select(serving, pin!(shutdown.requested())).await {
            Either::Left((report, _)) => report,
            Either::Right(((), serving)) => {
                self.server_ends.tell();
                serving.await
            }
        }
    }

    /// Stops listening, and ends each connection when its requests in flight are answered.
    ///
    /// WebSockets are told, and end when their peers have answered.
    pub fn close(&self) {
        self.server.close();
        self.server_ends.tell();
    }

    /// Waits until the server has been closed and all its connections have ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn wait_closed(&self) {
        self.server.wait_closed().await;
    }
}

impl<L: Listener> Drop for Server<L> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<L: Listener> fmt::Debug for Server<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.server).finish()
    }
}
