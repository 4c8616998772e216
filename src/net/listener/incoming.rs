//! The connections of a listener as a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use super::accept_queue::AcceptQueue;
use super::from_accepted::FromAccepted;
use crate::net::tcp::TcpStream;

/// The connections of a listener, as a stream.
///
/// Made by [`TcpListener::incoming`](crate::net::TcpListener::incoming),
/// [`UnixListener::incoming`](crate::net::UnixListener::incoming) and
/// [`UnixSeqpacketListener::incoming`](crate::net::UnixSeqpacketListener::incoming).
///
/// `S` is the kind of stream; without it, TCP is meant.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a, S: FromAccepted = TcpStream> {
    listener: &'a mut AcceptQueue<S>,
}

impl<'a, S: FromAccepted> Incoming<'a, S> {
    pub(in crate::net) fn new(listener: &'a mut AcceptQueue<S>) -> Self {
        Self { listener }
    }
}

impl<S: FromAccepted> Stream for Incoming<'_, S> {
    type Item = io::Result<(S, S::Addr)>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(context).map(Some)
    }
}
