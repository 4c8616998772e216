//! The connections of a listener as a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use super::accept_queue::AcceptQueue;
use crate::net::stream::Connection;
use crate::net::tcp::TcpStream;

/// The connections of a listener, as a stream.
///
/// Made by [`TcpListener::incoming`](crate::net::TcpListener::incoming) and
/// [`UnixListener::incoming`](crate::net::UnixListener::incoming).
///
/// `S` is the kind of stream; without it, TCP is meant.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a, S: Connection = TcpStream> {
    listener: &'a mut AcceptQueue<S>,
}

impl<'a, S: Connection> Incoming<'a, S> {
    pub(in crate::net) fn new(listener: &'a mut AcceptQueue<S>) -> Self {
        Self { listener }
    }
}

impl<S: Connection> Stream for Incoming<'_, S> {
    type Item = io::Result<(S, S::Addr)>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(context).map(Some)
    }
}
