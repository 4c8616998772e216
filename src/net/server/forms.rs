//! The forms of a handler: one takes a buffered reader and writer, the other the connection itself.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use super::handler::HandlerOutcome;
use crate::net::stream::{BufferLimits, Connection, StreamReader, StreamWriter, buffer};

/// What a server does with each connection.
pub(super) trait Handles<S>: 'static {
    type Outcome: HandlerOutcome + 'static;

    /// Returns the handler's future, and one that is ready once what the handler has left to be
    /// sent is with the kernel.
    fn handle(
        &self,
        stream: S,
    ) -> (impl Future<Output = Self::Outcome>, impl Future<Output = ()> + use<Self, S>);
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

    fn handle(
        &self,
        stream: S,
    ) -> (impl Future<Output = T>, impl Future<Output = ()> + use<S, H, T>) {
        let (reader, writer) = buffer(stream, self.limits);
        let sent = writer.ending();
        ((self.handler)(reader, writer), sent)
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

    fn handle(
        &self,
        stream: S,
    ) -> (impl Future<Output = T>, impl Future<Output = ()> + use<S, H, T>) {
        let socket = Rc::downgrade(stream.socket());
        let sent = poll_fn(move |context| {
            socket.upgrade().map_or(Poll::Ready(()), |socket| socket.poll_left_sent(context))
        });
        ((self.0)(stream), sent)
    }
}
