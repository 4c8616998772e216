//! Services of axum as `annulus-hyper` calls them: that of a connection, and what makes it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Poll, ready};

use annulus::join::CancelToken;
use annulus_hyper::server::{Listener, MakeService, TowerToHyperService};
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tower_service::Service;

use crate::incoming::IncomingStream;

/// Whether the server ends, in the extensions of each request that may be upgraded. What it becomes
/// is no connection of HTTP any more, so the server itself has no way to tell its peer.
#[derive(Clone)]
pub(crate) struct ServerEnds(CancelToken);

impl ServerEnds {
    pub(crate) fn new() -> Self {
        Self(CancelToken::new())
    }

    /// Tells all.
    pub(crate) fn tell(&self) {
        self.0.cancel();
    }

    /// Waits until the server ends.
    #[cfg(feature = "ws")]
    pub(crate) async fn wait(self) {
        self.0.cancelled().await;
    }
}

/// The service of one connection.
pub struct ConnectionService<S> {
    service: TowerToHyperService<S>,
    server_ends: ServerEnds,
}

impl<S> ConnectionService<S> {
    pub(crate) fn new(service: S, server_ends: ServerEnds) -> Self {
        Self { service: TowerToHyperService::new(service), server_ends }
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for ConnectionService<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone,
{
    type Response = Response;
    type Error = Infallible;
    type Future = <TowerToHyperService<S> as hyper::service::Service<Request<Body>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        // Few requests may be upgraded, and extensions are a map on the heap.
        if request.extensions().get::<OnUpgrade>().is_some() {
            request.extensions_mut().insert(self.server_ends.clone());
        }
        self.service.call(request)
    }
}

/// Makes the service of each connection by one of axum's make-services.
pub struct MakeConnectionService<L, M> {
    /// Calls of tower's services need `&mut`, and connections are set up at the same time.
    make_service: RefCell<M>,
    server_ends: ServerEnds,
    _listener: PhantomData<fn(L)>,
}

impl<L, M> MakeConnectionService<L, M> {
    pub(crate) fn new(make_service: M, server_ends: ServerEnds) -> Self {
        Self { make_service: RefCell::new(make_service), server_ends, _listener: PhantomData }
    }
}

impl<L, M, S> MakeService<L::Io, L::Addr> for MakeConnectionService<L, M>
where
    L: Listener + 'static,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + 'static,
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + 'static,
{
    type Service = ConnectionService<S>;
    type Error = Infallible;

    async fn make_service(&self, io: &L::Io, peer: &L::Addr) -> Result<Self::Service, Infallible> {
        // Nothing is polled between the readiness and the call, which would take it.
        let called = poll_fn(|context| {
            let mut make_service = self.make_service.borrow_mut();
            let Ok(()) = ready!(make_service.poll_ready(context));
            Poll::Ready(make_service.call(IncomingStream::new(io, peer)))
        });
        let Ok(service) = called.await.await;
        Ok(ConnectionService::new(service, self.server_ends.clone()))
    }
}

impl<L, M> fmt::Debug for MakeConnectionService<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeConnectionService").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for ConnectionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionService").finish_non_exhaustive()
    }
}
