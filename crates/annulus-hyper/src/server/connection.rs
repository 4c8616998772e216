//! One connection: it is set up, the version of HTTP is found out, and hyper serves it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use annulus::time::{Sleep, sleep, timeout};
use hyper::rt::{Read, Write};
#[cfg(feature = "http1")]
use hyper::server::conn::http1;
#[cfg(feature = "http2")]
use hyper::server::conn::http2;
use tokio::io::{AsyncRead, AsyncWrite};

use super::listener::Establish;
use super::make::{HttpService, MakeService};
use super::options::Options;
use super::outcome::{Stopped, with_sources};
use super::socket::Socket;
use super::state::{Order, State};
use super::tracked::Tracked;
use super::version::Version;
#[cfg(feature = "http2")]
use crate::rt::Executor;

/// Serves a connection from its beginning to its end.
pub(super) async fn serve_connection<S, E, M>(
    stream: S,
    establish: &E,
    make: &M,
    options: &Options,
    state: &Rc<State>,
) -> Result<(), Stopped>
where
    E: Establish<S>,
    E::Io: AsyncRead + AsyncWrite + Unpin + 'static,
    M: MakeService<E::Io, E::Addr>,
{
    let set_up = async {
        let (io, peer) = establish.establish(stream).await.map_err(Stopped::Establish)?;
        let made = make.make_service(&io, &peer).await;
        let service = made.map_err(|error| Stopped::Setup(with_sources(&*error.into())))?;
        Ok((io, service))
    };
    let (io, service) = match timeout(options.setup_timeout, set_up).await {
        Ok(set_up) => set_up?,
        Err(elapsed) => return Err(Stopped::Establish(elapsed.into())),
    };
    serve_http(io, service, options, state).await
}

/// Serves a connection that has been set up.
async fn serve_http<I, S>(
    io: I,
    service: S,
    options: &Options,
    state: &Rc<State>,
) -> Result<(), Stopped>
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    S: HttpService,
{
    let mut socket = Socket::new(io, Rc::clone(state));
    let version = match options.protocol.only() {
        Some(only) => only,
        None => {
            let beginning = pin!(Beginning { socket: &mut socket, is_over: false });
            drive(beginning, options, state).await?
        }
    };
    state.set_version(version);
    let service = Tracked::new(service, Rc::clone(state));
    match version {
        #[cfg(feature = "http1")]
        Version::Http1 => {
            {
                // Pinned here: as an argument of an `async fn` it would be in this future twice.
                // Dropped here: it has the socket, whose end is waited for below.
                let connection = options.http1.serve_connection(socket, service).with_upgrades();
                drive(pin!(connection), options, state).await?;
            }
            upgraded(state).await;
            Ok(())
        }
        #[cfg(feature = "http2")]
        Version::Http2 => {
            // In a box: it is larger than one of HTTP/1, of which most servers have more.
            let mut connection = Box::pin(options.http2.serve_connection(socket, service));
            drive(connection.as_mut(), options, state).await
        }
        #[cfg(not(all(feature = "http1", feature = "http2")))]
        _ => unreachable!("a version that is not compiled in is never found"),
    }
}

/// Waits until a connection that is no more one of HTTP has ended, so that it counts until then.
#[cfg(feature = "http1")]
async fn upgraded(state: &State) {
    if state.has_socket() {
        state.set_upgraded();
    }
    poll_fn(|context| {
        state.register(context);
        if state.has_socket() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

/// A part of a connection's life.
trait Part {
    type Output;

    fn poll_part(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::Output, Stopped>>;

    /// Ends it when the requests in flight have been answered. Without any it ends when it is next
    /// polled.
    fn end(self: Pin<&mut Self>);
}

/// The time in which the version of HTTP is found out.
struct Beginning<'a, I: 'static> {
    socket: &'a mut Socket<I>,
    is_over: bool,
}

impl<I: AsyncRead + Unpin + 'static> Part for Beginning<'_, I> {
    type Output = Version;

    fn poll_part(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Version, Stopped>> {
        if self.is_over {
            return Poll::Ready(Err(Stopped::Unused));
        }
        self.socket.poll_version(context).map_err(Stopped::Io)
    }

    fn end(mut self: Pin<&mut Self>) {
        self.is_over = true;
    }
}

macro_rules! part {
    ($feature:literal, $connection:ty) => {
        #[cfg(feature = $feature)]
        impl<I, S> Part for $connection
        where
            I: Read + Write + Unpin + Send + 'static,
            S: HttpService,
        {
            type Output = ();

            fn poll_part(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Result<(), Stopped>> {
                self.poll(context).map_err(Stopped::Hyper)
            }

            fn end(self: Pin<&mut Self>) {
                self.graceful_shutdown();
            }
        }
    };
}

part!("http1", http1::UpgradeableConnection<I, S>);
part!("http2", http2::Connection<I, S, Executor>);

/// Runs a part of a connection's life, and ends it when the server says so.
async fn drive<P: Part>(
    mut part: Pin<&mut P>,
    options: &Options,
    state: &State,
) -> Result<P::Output, Stopped> {
    let mut ending = Ending::default();
    poll_fn(|context| {
        state.register(context);
        loop {
            if let Poll::Ready(ended) = part.as_mut().poll_part(context) {
                return Poll::Ready(ended);
            }
            if let Order::Cut(why) = state.order() {
                return Poll::Ready(Err(Stopped::Cut(why)));
            }
            if !ending.begins(options, state, context) {
                return Poll::Pending;
            }
            part.as_mut().end();
        }
    })
    .await
}

/// How far the end of a connection has come.
#[derive(Default)]
struct Ending {
    has_begun: bool,
    /// Until when another request is waited for. In a box: few connections ever have it.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Ending {
    /// Whether the connection is to end from now on.
    fn begins(&mut self, options: &Options, state: &State, context: &mut Context<'_>) -> bool {
        if self.has_begun {
            return false;
        }
        let is_told = state.order() == Order::End || state.is_draining() && state.is_http2();
        // A client of HTTP/1 cannot tell whether a request that meets the end was handled, so what
        // is on its way is answered.
        let is_over = state.is_draining() && {
            let sleep = || Box::pin(sleep(options.keep_alive_linger));
            let linger = self.linger.get_or_insert_with(sleep);
            linger.as_mut().poll(context).is_ready()
        };
        self.has_begun = is_told || is_over;
        self.has_begun
    }
}

#[cfg(all(test, feature = "http1"))]
mod tests {
    use std::convert::Infallible;

    use annulus::net::{Polled, TcpStream};
    use http::{Request, Response};
    use hyper::body::Incoming;
    use hyper::service::service_fn;

    use super::super::{Plain, Shared};
    use super::*;

    /// What the future of a connection holds, and hyper's connection of HTTP/1 in it.
    fn sizes<S: HttpService>(_: S) -> (usize, usize) {
        fn size_of_output<'a, T, E, M, F>(
            _: impl FnOnce(T, &'a E, &'a M, &'a Options, &'a Rc<State>) -> F,
        ) -> usize
        where
            E: 'a,
            M: 'a,
        {
            size_of::<F>()
        }
        type Connection<S> =
            http1::UpgradeableConnection<Socket<Polled<TcpStream>>, Tracked<Rc<S>>>;
        let future = size_of_output(serve_connection::<TcpStream, Plain, Shared<S>>);
        (future, size_of::<Connection<S>>())
    }

    /// There is one for each connection, so this is what bounds the number of idle ones.
    #[test]
    fn the_future_of_a_connection_holds_that_of_hyper_once() {
        let (future, connection) = sizes(service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
        assert!(future < 2 * connection, "{future} bytes, of which hyper's are {connection}");
    }
}
