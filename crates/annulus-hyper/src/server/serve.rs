//! How a server is configured and started.

use std::future::IntoFuture;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use annulus::Shutdown;
use annulus::net::{ServerOptions, ShutdownOptions, ShutdownReport, start_stream_server_on};
#[cfg(feature = "http1")]
use hyper::server::conn::http1;
#[cfg(feature = "http2")]
use hyper::server::conn::http2;

use super::connection::serve_connection;
use super::connections::Connections;
use super::listener::Listener;
use super::make::{HttpService, MakeService, Shared};
use super::options::Options;
use super::outcome::Outcome;
use super::running::Server;
use super::version::Protocol;
#[cfg(feature = "http2")]
use crate::rt::Executor;

/// Serves HTTP on a listener, with one service for all connections.
///
/// It serves once it is [started](Serve::start), or awaited.
///
/// # Example
///
/// ```no_run
/// use std::convert::Infallible;
/// use annulus::net::TcpListener;
/// use annulus_hyper::server::serve;
/// use http_body_util::Full;
/// use hyper::body::{Bytes, Incoming};
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
///
/// async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
///     Ok(Response::new(Full::new(Bytes::from("hello\n"))))
/// }
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:8000").await?;
///     serve(listener, service_fn(hello)).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn serve<L: Listener, S: HttpService>(listener: L, service: S) -> Serve<L, Shared<S>> {
    serve_with(listener, Shared::new(service))
}

/// Serves HTTP on a listener, with a service for each connection.
///
/// It serves once it is [started](Serve::start), or awaited. See
/// [`make_service_fn`](super::make_service_fn) for an example.
pub fn serve_with<L: Listener, M: MakeService<L::Io, L::Addr>>(
    listener: L,
    make: M,
) -> Serve<L, M> {
    Serve { listener, make, limits: ServerOptions::new(), options: Options::new() }
}

/// A server that has not been started; made by [`serve`] and [`serve_with`].
#[must_use = "a server serves once it is started or awaited"]
pub struct Serve<L, M> {
    listener: L,
    make: M,
    limits: ServerOptions,
    options: Options,
}

impl<L: Listener, M: MakeService<L::Io, L::Addr>> Serve<L, M> {
    /// Sets the limits of connections: how many, of one peer, without progress.
    ///
    /// None by default, but a server that strangers can reach [needs them](annulus::net#limits).
    /// The limits of readers and writers have no effect here, and neither has
    /// [`listen`](ServerOptions::listen).
    pub fn limits(mut self, limits: ServerOptions) -> Self {
        self.limits = limits;
        self
    }

    /// Sets which versions of HTTP are spoken; by default all that are compiled in.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.options.protocol = protocol;
        self
    }

    /// Limits how long the head of a request may take; `None` for no limit.
    ///
    /// A connection on which it does not arrive within this time, or up to a quarter longer, is
    /// closed.
    ///
    /// 30 seconds by default. It counts from the first byte of the head, and for the first request
    /// from the beginning of the connection, so a connection on which nothing ever arrives is
    /// closed, too. [`Counters::header_timeouts`](super::Counters::header_timeouts) counts them.
    ///
    /// # Panics
    ///
    /// If the time is zero.
    #[doc(alias = "slowloris")]
    #[track_caller]
    pub fn header_read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        let timeout = timeout.into();
        assert!(timeout != Some(Duration::ZERO), "`header_read_timeout` of zero: use `None`");
        self.options.times.head = timeout;
        self
    }

    /// Limits how long a connection waits for a request; `None` for no limit.
    ///
    /// A connection on which no further request arrives within this time, or up to a quarter
    /// longer, is ended.
    ///
    /// 75 seconds by default, which is more than what load balancers use: they must be the first to
    /// close a connection. A connection of HTTP/2 is told to end (GOAWAY); what it does not do
    /// within the same time again is done for it.
    /// [`Counters::idle_timeouts`](super::Counters::idle_timeouts) counts them.
    ///
    /// # Panics
    ///
    /// If the time is zero.
    #[track_caller]
    pub fn keep_alive_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        let timeout = timeout.into();
        assert!(timeout != Some(Duration::ZERO), "`keep_alive_timeout` of zero: use `None`");
        self.options.times.request = timeout;
        self
    }

    /// Sets how long idle connections remain open when the server ends.
    ///
    /// These are connections of HTTP/1 on which no request is in flight.
    ///
    /// 500 ms by default. A client of a kept connection may have sent its next request at the
    /// moment of the end, and must not send it again if it is not idempotent. What arrives in this
    /// time is answered, with `Connection: close`. So a busy client sees no error if the time is
    /// longer than it takes to send its next request. Zero closes such connections at once.
    pub fn keep_alive_linger(mut self, linger: Duration) -> Self {
        self.options.keep_alive_linger = linger;
        self
    }

    /// Sets how long a connection may be set up: by a TLS handshake, and by making its service.
    ///
    /// 10 seconds by default. [`Counters::setup_failures`](super::Counters::setup_failures) counts
    /// those that were not.
    pub fn setup_timeout(mut self, timeout: Duration) -> Self {
        self.options.setup_timeout = timeout;
        self
    }

    /// Changes hyper's options of HTTP/1, such as
    /// [`keep_alive`](http1::Builder::keep_alive) and
    /// [`max_headers`](http1::Builder::max_headers).
    ///
    /// Leave its `header_read_timeout` alone: that of this server costs nothing per request.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use annulus_hyper::server::{HttpService, Serve, Shared, serve};
    /// # fn configure<S: HttpService>(listener: annulus::net::TcpListener, service: S) {
    /// let server = serve(listener, service).http1(|http1| {
    ///     http1.max_headers(64).keep_alive(false);
    /// });
    /// # }
    /// ```
    #[cfg(feature = "http1")]
    pub fn http1(mut self, change: impl FnOnce(&mut http1::Builder)) -> Self {
        change(&mut self.options.http1);
        self
    }

    /// Changes hyper's options of HTTP/2, such as
    /// [`max_concurrent_streams`](http2::Builder::max_concurrent_streams).
    ///
    /// By default a client may have 200 streams at a time and 16 KiB of headers in a request, and
    /// is cut after 20 streams that it has reset before they were handled, or 1024 that it made the
    /// server reset.
    #[cfg(feature = "http2")]
    pub fn http2(mut self, change: impl FnOnce(&mut http2::Builder<Executor>)) -> Self {
        change(&mut self.options.http2);
        self
    }

    /// Starts the server in the background.
    ///
    /// # Errors
    ///
    /// If the address of the listener cannot be had, or an option of it cannot be set.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn start(self) -> io::Result<Server<L>> {
        let Self { listener, make, limits, options } = self;
        let connections = Rc::new(Connections::new(options.times));
        let its = Rc::clone(&connections);
        let (socket, establish) = listener.into_parts();
        let handler = async move |stream| {
            let entered = its.enter();
            let state = entered.state();
            let ended = serve_connection(stream, &establish, &make, &options, state).await;
            Outcome::of(ended, state)
        };
        let server = start_stream_server_on(handler, [socket], &limits)?;
        Ok(Server::new(server, connections))
    }

    /// Serves until the end is requested, and then ends the server in order.
    ///
    /// [`start`](Self::start) and [`Server::serve_until`] in one.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// That of [`Server::serve_until`].
    pub async fn serve_until(
        self,
        shutdown: &Shutdown,
        options: &ShutdownOptions,
    ) -> io::Result<ShutdownReport> {
        Ok(self.start()?.serve_until(shutdown, options).await)
    }
}

/// Serves for ever. Dropped, the server is closed.
impl<L, M> IntoFuture for Serve<L, M>
where
    L: Listener + 'static,
    M: MakeService<L::Io, L::Addr>,
{
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.start()?.serve_forever().await;
            Ok(())
        })
    }
}
