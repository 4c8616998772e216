//! Where the service of a connection comes from.

use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;

/// What a server can serve: a [`Service`] of hyper's, without any `Send`.
///
/// It is implemented for all of them, and is a name for the bounds. A service of tower's becomes
/// one by [`TowerToHyperService`](super::TowerToHyperService).
pub trait HttpService:
    Service<
        Request<Incoming>,
        Response = Response<Self::ResponseBody>,
        Error: Into<Box<dyn Error + Send + Sync>>,
        Future: 'static,
    > + 'static
{
    /// The body of its responses.
    type ResponseBody: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type ResponseBody = B;
}

/// Makes a service for each connection; for [`serve_with`](super::serve_with).
///
/// A function that does so becomes one by [`make_service_fn`].
pub trait MakeService<I, A>: 'static {
    /// The service of a connection.
    type Service: HttpService;
    /// Why there is none.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// Makes the service of a connection, whose client has this address.
    ///
    /// After an error the connection is closed, and the error reported as an
    /// [`Incident`](annulus::Incident::HandlerFailed).
    fn make_service(
        &self,
        io: &I,
        peer: &A,
    ) -> impl Future<Output = Result<Self::Service, Self::Error>>;
}

/// One service for all connections; made by [`serve`](super::serve()).
#[derive(Debug)]
pub struct Shared<S>(Rc<S>);

impl<S> Shared<S> {
    pub(super) fn new(service: S) -> Self {
        Self(Rc::new(service))
    }
}

impl<S: HttpService, I, A> MakeService<I, A> for Shared<S> {
    type Service = Rc<S>;
    type Error = Infallible;

    async fn make_service(&self, _: &I, _: &A) -> Result<Rc<S>, Infallible> {
        Ok(Rc::clone(&self.0))
    }
}

/// A function as a [`MakeService`]; made by [`make_service_fn`].
#[derive(Clone, Copy, Debug)]
pub struct MakeServiceFn<F>(F);

/// Makes the service of each connection by an async closure.
///
/// The closure is given the address of the client.
///
/// # Example
///
/// ```
/// use std::convert::Infallible;
/// use std::net::SocketAddr;
/// use annulus::net::TcpListener;
/// use annulus_hyper::server::{make_service_fn, serve_with};
/// use http_body_util::Full;
/// use hyper::body::{Bytes, Incoming};
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
///
/// annulus::run(async {
///     let make = make_service_fn(async |peer: &SocketAddr| {
///         let peer = *peer;
///         Ok::<_, Infallible>(service_fn(move |_: Request<Incoming>| async move {
///             let text = format!("hello, {peer}\n");
///             Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
///         }))
///     });
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let server = serve_with(listener, make).start()?;
///     # server.close();
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn make_service_fn<F>(make: F) -> MakeServiceFn<F> {
    MakeServiceFn(make)
}

impl<F, I, A, S, E> MakeService<I, A> for MakeServiceFn<F>
where
    F: AsyncFn(&A) -> Result<S, E> + 'static,
    S: HttpService,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Service = S;
    type Error = E;

    async fn make_service(&self, _: &I, peer: &A) -> Result<S, E> {
        (self.0)(peer).await
    }
}
