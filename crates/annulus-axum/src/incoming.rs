//! A connection that has been accepted, before it is served: what a make-service is called with.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use annulus_hyper::server::Listener;
use axum::Router;
use axum::handler::{Handler, HandlerService};
use axum::routing::MethodRouter;
use tower_service::Service;

/// A connection that has been accepted.
///
/// [`serve`](crate::serve()) calls its make-service with it, and so does
/// [`Connected`](axum::extract::connect_info::Connected), which makes the value of a
/// [`ConnectInfo`](axum::extract::ConnectInfo).
pub struct IncomingStream<'a, L: Listener> {
    io: &'a L::Io,
    remote_addr: &'a L::Addr,
}

impl<'a, L: Listener> IncomingStream<'a, L> {
    pub(crate) fn new(io: &'a L::Io, remote_addr: &'a L::Addr) -> Self {
        Self { io, remote_addr }
    }

    /// Returns the connection.
    pub fn io(&self) -> &L::Io {
        self.io
    }

    /// Returns the address of the peer.
    pub fn remote_addr(&self) -> &L::Addr {
        self.remote_addr
    }
}

impl<L: Listener> fmt::Debug for IncomingStream<'_, L>
where
    L::Addr: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingStream")
            .field("remote_addr", &self.remote_addr)
            .finish_non_exhaustive()
    }
}

// A router, a method router and a handler are make-services: each connection has a clone.
macro_rules! cloned_for_each_connection {
    ($service:ty, [$($parameters:tt)*], |$this:ident| $clone:expr) => {
        impl<L: Listener, $($parameters)*> Service<IncomingStream<'_, L>> for $service {
            type Response = Self;
            type Error = Infallible;
            type Future = Ready<Result<Self, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, _: IncomingStream<'_, L>) -> Self::Future {
                let $this = self;
                ready(Ok($clone))
            }
        }
    };
}

// With its state a router makes its routes once for a connection, and not for each request.
cloned_for_each_connection!(Router, [], |this| this.clone().with_state(()));
cloned_for_each_connection!(MethodRouter, [], |this| this.clone().with_state(()));
cloned_for_each_connection!(
    HandlerService<H, T, S>,
    [H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static],
    |this| this.clone()
);
