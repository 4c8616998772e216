//! Server-sent events, kept alive by the runtime's timers.
//!
//! The names are those of `axum::response::sse`, whose [`Event`] this is. Its `keep_alive` needs a
//! Tokio runtime; this one does not. And the stream need not be `Send`: it may sleep by
//! [`annulus::time::sleep`], and read what belongs to this thread.
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use annulus_axum::sse::{Event, KeepAlive, Sse};
//! use axum::Router;
//! use axum::response::IntoResponse;
//! use axum::routing::get;
//! use futures_util::stream;
//!
//! async fn ticks() -> impl IntoResponse {
//!     let ticks = annulus::time::interval(Duration::from_secs(1));
//!     let events = stream::unfold(ticks, |mut ticks| async {
//!         ticks.tick().await;
//!         Some((Ok::<_, Infallible>(Event::default().data("tick")), ticks))
//!     });
//!     Sse::new(events).keep_alive(KeepAlive::new())
//! }
//!
//! let app: Router = Router::new().route("/ticks", get(ticks));
//! ```
//!
//! An endless stream ends when its client leaves, or at the latest when the grace period of a
//! [server that ends](crate::Serve::with_graceful_shutdown) is over. A stream that is to end
//! earlier looks at the server's [`Shutdown`](annulus::Shutdown).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use annulus::task::ThreadBound;
use annulus::time::{Sleep, now, sleep_until};
use axum::BoxError;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};

pub use axum::response::sse::Event;

/// A response of server-sent events.
///
/// See the [module](self) for an example.
#[must_use]
pub struct Sse<S> {
    stream: S,
}

impl<S, E> Sse<S>
where
    S: Stream<Item = Result<Event, E>> + 'static,
    E: Into<BoxError> + 'static,
{
    /// Creates a response that sends the events of a stream, and ends with it.
    ///
    /// An error ends the connection, and the client does not see it.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// Sends an event whenever the stream has had none for a while.
    ///
    /// It keeps proxies from closing the connection, and notices a client that is gone.
    pub fn keep_alive(self, keep_alive: KeepAlive) -> Sse<KeepAliveStream<S>> {
        Sse { stream: KeepAliveStream::new(self.stream, keep_alive) }
    }
}

impl<S, E> IntoResponse for Sse<S>
where
    S: Stream<Item = Result<Event, E>> + 'static,
    E: Into<BoxError> + 'static,
{
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    fn into_response(self) -> Response {
        let events = self.stream.map(|event| event.map_err(Into::<BoxError>::into));
        axum::response::sse::Sse::new(ThreadBound::new(events)).into_response()
    }
}

impl<S> fmt::Debug for Sse<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse").finish_non_exhaustive()
    }
}

/// What keeps a connection alive, and how often.
#[derive(Clone, Debug)]
#[must_use]
pub struct KeepAlive {
    event: Event,
    interval: Duration,
}

impl KeepAlive {
    /// An empty comment after 15 seconds without an event.
    pub fn new() -> Self {
        Self { event: Event::DEFAULT_KEEP_ALIVE, interval: Duration::from_secs(15) }
    }

    /// Sets how long the stream may be silent.
    ///
    /// # Panics
    ///
    /// If `interval` is zero.
    #[track_caller]
    pub fn interval(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "a keep-alive `interval` of zero: it would send without end");
        self.interval = interval;
        self
    }

    /// Sets the text of the comment that is sent.
    ///
    /// # Panics
    ///
    /// If the text has a line break.
    pub fn text(self, text: impl AsRef<str>) -> Self {
        self.event(Event::default().comment(text))
    }

    /// Sets the event that is sent.
    pub fn event(mut self, event: Event) -> Self {
        self.event = event;
        self
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::new()
    }
}

/// A stream of events with others where it is silent.
#[must_use]
pub struct KeepAliveStream<S> {
    stream: Pin<Box<S>>,
    keep_alive: KeepAlive,
    /// When the last event was sent.
    last: Instant,
    /// Ends no later than the silence may. Events do not move it: there may be many.
    alarm: Sleep,
}

impl<S> KeepAliveStream<S> {
    fn new(stream: S, keep_alive: KeepAlive) -> Self {
        let last = now();
        let alarm = sleep_until(last + keep_alive.interval);
        Self { stream: Box::pin(stream), keep_alive, last, alarm }
    }

    /// Waits until the stream has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(Pin::new(&mut self.alarm).poll(cx));
            let end = self.last + self.keep_alive.interval;
            let is_over = now() >= end;
            self.last = if is_over { now() } else { self.last };
            self.alarm.reset(self.last + self.keep_alive.interval);
            if is_over {
                return Poll::Ready(());
            }
        }
    }
}

impl<S, E> Stream for KeepAliveStream<S>
where
    S: Stream<Item = Result<Event, E>>,
{
    type Item = Result<Event, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Poll::Ready(item) = this.stream.as_mut().poll_next(cx) {
            this.last = now();
            return Poll::Ready(item);
        }
        ready!(this.poll_silence(cx));
        Poll::Ready(Some(Ok(this.keep_alive.event.clone())))
    }
}

impl<S> fmt::Debug for KeepAliveStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAliveStream")
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}
