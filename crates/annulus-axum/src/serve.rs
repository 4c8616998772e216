//! Serving a router, with the signature of `axum::serve`.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use annulus::Shutdown;
use annulus::net::{Connection, ShutdownOptions, ShutdownReport};
use annulus_hyper::server::{self as hyper_server, Listener};
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::{Either, select};
use tower_service::Service;

use crate::incoming::IncomingStream;
use crate::server::Server;
use crate::service::{MakeConnectionService, ServerEnds};

/// The address that a listener listens on.
pub(crate) type LocalAddr<L> =
    <<<L as Listener>::Socket as annulus::net::Listener>::Stream as Connection>::Addr;

/// Serves a router, a method router, a handler, or what makes a service for each connection.
///
/// It is used as `axum::serve` is. The listener is one of annulus: TCP's, or a Unix socket's. Both
/// versions of HTTP are spoken that the features say, on the thread of the listener. Neither the
/// services nor their futures need be `Send` here; for what axum itself demands, see
/// [`local`](crate::local()).
///
/// The future that it becomes never ends, but for an error of the listener.
/// [`with_graceful_shutdown`](Serve::with_graceful_shutdown) and
/// [`serve_until`](Serve::serve_until) end it in order.
///
/// # Example
///
/// ```no_run
/// use annulus::net::TcpListener;
/// use axum::Router;
/// use axum::routing::get;
///
/// #[annulus::main]
/// async fn main() -> std::io::Result<()> {
///     let app = Router::new().route("/", get("hello\n"));
///     let listener = TcpListener::bind("127.0.0.1:3000").await?;
///     annulus_axum::serve(listener, app).await
/// }
/// ```
///
/// On all cores, each shard listens on the same port and has its own router:
///
/// ```no_run
/// use annulus::net::{ShutdownOptions, ShutdownReport, TcpListener};
/// use annulus::shards::Shard;
/// use axum::Router;
/// use axum::routing::get;
///
/// #[annulus::main(shards = "cores", signals = true)]
/// async fn main(shard: Shard) -> std::io::Result<ShutdownReport> {
///     let app = Router::new().route("/", get("hello\n"));
///     let listener = TcpListener::bind("127.0.0.1:3000").await?;
///     let server = annulus_axum::serve(listener, app);
///     server.serve_until(shard.shutdown(), &ShutdownOptions::new()).await
/// }
/// ```
pub fn serve<L, M, S>(listener: L, make_service: M) -> Serve<L, M>
where
    L: Listener + 'static,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + 'static,
{
    let address = listener.local_addr();
    let server_ends = ServerEnds::new();
    let make = MakeConnectionService::new(make_service, server_ends.clone());
    let server = hyper_server::serve_with(listener, make);
    // WebSockets over HTTP/2 are a CONNECT with a protocol, which a server must have offered.
    #[cfg(all(feature = "http2", feature = "ws"))]
    let server = server.http2(|http2| {
        http2.enable_connect_protocol();
    });
    Serve { server, server_ends, address }
}

/// A server that has not been started; made by [`serve`](serve()).
#[must_use = "a server serves once it is awaited"]
pub struct Serve<L: Listener, M> {
    server: hyper_server::Serve<L, MakeConnectionService<L, M>>,
    server_ends: ServerEnds,
    address: io::Result<LocalAddr<L>>,
}

impl<L, M, S> Serve<L, M>
where
    L: Listener + 'static,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + 'static,
{
    /// Changes the options of the server: limits of connections, timeouts, those of hyper.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use annulus::net::{ServerOptions, TcpListener};
    /// use annulus_axum::serve;
    ///
    /// # async fn run(listener: TcpListener, app: axum::Router) -> std::io::Result<()> {
    /// let limits = ServerOptions::new().max_connections(10_000);
    /// serve(listener, app)
    ///     .configure(|server| server.limits(limits).header_read_timeout(Duration::from_secs(5)))
    ///     .await
    /// # }
    /// ```
    pub fn configure(
        mut self,
        change: impl FnOnce(
            hyper_server::Serve<L, MakeConnectionService<L, M>>,
        ) -> hyper_server::Serve<L, MakeConnectionService<L, M>>,
    ) -> Self {
        self.server = change(self.server);
        self
    }

    /// Returns the address that the server listens on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<LocalAddr<L>>
    where
        LocalAddr<L>: Clone,
    {
        match &self.address {
            Ok(address) => Ok(address.clone()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Ends the server in order when a future completes: requests in flight are answered first.
    ///
    /// There is no limit to how long that takes, as with axum. [`serve_until`](Self::serve_until)
    /// has one. WebSockets are told, and waited for.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use annulus::Shutdown;
    ///
    /// # use annulus::net::TcpListener;
    /// # async fn run(listener: TcpListener, app: axum::Router) -> std::io::Result<()> {
    /// let shutdown = Shutdown::on_signals()?;
    /// annulus_axum::serve(listener, app)
    ///     .with_graceful_shutdown(async move { shutdown.requested().await })
    ///     .await
    /// # }
    /// ```
    pub fn with_graceful_shutdown<F>(self, signal: F) -> WithGracefulShutdown<L, M, F>
    where
        F: Future<Output = ()> + 'static,
    {
        WithGracefulShutdown { serve: self, signal }
    }

    /// Serves until the end is requested, and then ends the server in order and within a time.
    ///
    /// Requests in flight have [`ShutdownOptions::grace`] to be answered, and WebSockets to end.
    /// See [`annulus_hyper::server::Server::serve_until`] for the steps. The report counts the
    /// connections.
    ///
    /// # Errors
    ///
    /// If an option of the listener cannot be set.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the server is closed: connections end when their requests in flight are answered.
    pub async fn serve_until(
        self,
        shutdown: &Shutdown,
        options: &ShutdownOptions,
    ) -> io::Result<ShutdownReport> {
        Ok(self.start()?.serve_until(shutdown, options).await)
    }

    /// Starts the server in the background.
    ///
    /// # Errors
    ///
    /// If an option of the listener cannot be set.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn start(self) -> io::Result<Server<L>> {
        Ok(Server::new(self.server.start()?, self.server_ends))
    }
}

impl<L: Listener, M> fmt::Debug for Serve<L, M>
where
    LocalAddr<L>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Serves for ever. Dropped, the server is closed.
impl<L, M, S> IntoFuture for Serve<L, M>
where
    L: Listener + 'static,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = ServeFuture;

    fn into_future(self) -> ServeFuture {
        ServeFuture(Box::pin(async move {
            self.start()?.serve_forever().await;
            Ok(())
        }))
    }
}

/// A server that ends in order; made by [`Serve::with_graceful_shutdown`].
#[must_use = "a server serves once it is awaited"]
pub struct WithGracefulShutdown<L: Listener, M, F> {
    serve: Serve<L, M>,
    signal: F,
}

impl<L, M, S, F> WithGracefulShutdown<L, M, F>
where
    L: Listener + 'static,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + 'static,
{
    /// Returns the address that the server listens on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<LocalAddr<L>>
    where
        LocalAddr<L>: Clone,
    {
        self.serve.local_addr()
    }
}

impl<L: Listener, M, F> fmt::Debug for WithGracefulShutdown<L, M, F>
where
    LocalAddr<L>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithGracefulShutdown").field("serve", &self.serve).finish_non_exhaustive()
    }
}

/// Serves until the signal, and until all connections have ended. Dropped, the server is closed.
impl<L, M, S, F> IntoFuture for WithGracefulShutdown<L, M, F>
where
    L: Listener + 'static,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + 'static,
    F: Future<Output = ()> + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = ServeFuture;

    fn into_future(self) -> ServeFuture {
        ServeFuture(Box::pin(async move {
            let server = self.serve.start()?;
            if let Either::Right(_) = select(pin!(self.signal), pin!(server.serve_forever())).await
            {
                return Ok(());
            }
            server.close();
            server.wait_closed().await;
            Ok(())
        }))
    }
}

/// The future of [`Serve`] and [`WithGracefulShutdown`].
#[must_use = "a server serves while it is awaited"]
pub struct ServeFuture(Pin<Box<dyn Future<Output = io::Result<()>>>>);

impl Future for ServeFuture {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ServeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeFuture").finish_non_exhaustive()
    }
}
