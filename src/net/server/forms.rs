//! The forms of a handler: one takes a buffered reader and writer, the other the connection itself.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use super::handler::HandlerOutcome;
use crate::net::stream::{BufferLimits, Connection, StreamReader, StreamWriter, buffer};

/// What a server does with each connection.
pub(super) trait Handles<S>: 'static {
    type Outcome: HandlerOutcome + 'static;
    /// What the handler takes.
    type Input;

    /// The limits of readers and writers, if the handler takes those.
    fn limits(&self) -> BufferLimits;

    /// Returns what the handler takes, and a future that is ready once what the handler has left to
    /// be sent is with the kernel. (It borrows nothing of the server: there is no `self`.)
    fn prepare(stream: S, limits: BufferLimits) -> (Self::Input, impl Future<Output = ()>);

    fn handle(&self, input: Self::Input) -> impl Future<Output = Self::Outcome>;
}

/// A handler of readers and writers, with their limits.
pub(super) struct Buffered<H> {
    pub(super) handler: H,
    pub(super) limits: BufferLimits,
}

impl<S, H, T> Handles<S> for Buffered<H>
where
    S: Connection,
    H: AsyncFn(StreamReader<S>, StreamWriter<S>) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    type Outcome = T;
    type Input = (StreamReader<S>, StreamWriter<S>);

    fn limits(&self) -> BufferLimits {
        self.limits
    }

    fn prepare(stream: S, limits: BufferLimits) -> (Self::Input, impl Future<Output = ()>) {
        let (reader, writer) = buffer(stream, limits);
        let sent = writer.ending();
        ((reader, writer), sent)
    }

    fn handle(&self, (reader, writer): Self::Input) -> impl Future<Output = T> {
        (self.handler)(reader, writer)
    }
}

/// A handler of connections. What it has not awaited when it returns is not waited for, except for
/// what it has written by polls ([`Polled`](crate::net::Polled)).
pub(super) struct Whole<H>(pub(super) H);

impl<S, H, T> Handles<S> for Whole<H>
where
    S: Connection,
    H: AsyncFn(S) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    type Outcome = T;
    type Input = S;

    fn limits(&self) -> BufferLimits {
        BufferLimits::default()
    }

    fn prepare(stream: S, _limits: BufferLimits) -> (S, impl Future<Output = ()>) {
        let socket = Rc::downgrade(stream.socket());
        let sent = poll_fn(move |context| {
            socket.upgrade().map_or(Poll::Ready(()), |socket| socket.poll_left_sent(context))
        });
        (stream, sent)
    }

    fn handle(&self, stream: S) -> impl Future<Output = T> {
        (self.0)(stream)
    }
}
