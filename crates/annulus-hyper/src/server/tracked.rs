//! The service of a connection, as hyper calls it: it counts requests in flight, and tells clients
//! of a server that ends to close their connections.
//!
//! A request is in flight from the call of the service until the body of its response has been
//! handed to hyper, or dropped. Nothing is allocated for that.

use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::state::State;

/// A service whose requests are counted.
pub(super) struct Tracked<S> {
    service: S,
    state: Rc<State>,
}

impl<S> Tracked<S> {
    pub(super) fn new(service: S, state: Rc<State>) -> Self {
        Self { service, state }
    }
}

impl<S, B> Service<Request<Incoming>> for Tracked<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = TrackedFuture<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = Some(InFlight::begin(&self.state));
        let may_keep_alive = request.version() <= Version::HTTP_11;
        TrackedFuture { response: self.service.call(request), in_flight, may_keep_alive }
    }
}

/// A request is in flight while this lives.
struct InFlight(Rc<State>);

impl InFlight {
    fn begin(state: &Rc<State>) -> Self {
        state.begin_request();
        Self(Rc::clone(state))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

pin_project! {
    /// The response to come.
    pub(super) struct TrackedFuture<F> {
        #[pin]
        response: F,
        in_flight: Option<InFlight>,
        may_keep_alive: bool,
    }
}

impl<F, B, E> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Response<TrackedBody<B>>, Box<dyn Error + Send + Sync>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let its = self.project();
        let response = ready!(its.response.poll(context));
        let Some(in_flight) = its.in_flight.take() else { panic!("polled after its end") };
        let mut response = response.map_err(|error| {
            let error = error.into();
            in_flight.0.note_service_failure(&*error);
            error
        })?;
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if *its.may_keep_alive && !is_upgrade && in_flight.0.is_draining() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response.map(|body| TrackedBody { body, in_flight })))
    }
}

pin_project! {
    /// The body of a response.
    pub(super) struct TrackedBody<B> {
        #[pin]
        body: B,
        in_flight: InFlight,
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
