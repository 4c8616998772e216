//! Accepting connections and handling them.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use futures_util::future::{Either, select};

use super::registry::{Connections, Listening, Served};
use super::{HandlerFailure, HandlerOutcome};
use crate::error::{Incident, catch_panic};
use crate::net::stream::{StreamReader, StreamWriter};
use crate::net::tcp::{TcpListener, TcpStream};
use crate::runtime::{context, spawn};

/// Accepts until the server is closed; then handles those that had arrived.
pub(super) async fn serve<H, T>(mut listener: TcpListener, handler: Rc<H>, listening: Listening)
where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let connections = Rc::clone(listening.connections());
    let mut waiting = VecDeque::new();
    loop {
        let next = pin!(async {
            if let Some(room) = connections.room().await {
                listener.set_room(room);
            }
            listener.accept().await
        });
        let accepted = match select(next, pin!(connections.closed())).await {
            Either::Left((accepted, _)) => accepted,
            Either::Right(_) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Another address may have taken the room meanwhile.
                let (room, closed) = (pin!(connections.room()), pin!(connections.closed()));
                if let Either::Right(_) = select(room, closed).await {
                    waiting.push_back((stream, peer));
                    break;
                }
                start(stream, peer, &handler, &connections);
            }
            Err(error) => {
                let message = error.to_string();
                (context::incidents())(&Incident::AcceptFailed { message });
                break;
            }
        }
    }
    while let Some(rest) = listener.rest().await {
        match rest {
            Ok(connection) => {
                listener.goes_on();
                waiting.push_back(connection);
            }
            Err(error) => {
                // Those that are served give their descriptors back.
                start_all(&mut waiting, &handler, &connections).await;
                if !listener.waits_out(&error).await {
                    break;
                }
            }
        }
    }
    // The port is free while they wait to be served.
    drop(listener);
    start_all(&mut waiting, &handler, &connections).await;
    drop(listening);
}

/// Handles connections that have arrived, as there is room for them.
async fn start_all<H, T>(
    waiting: &mut VecDeque<(TcpStream, SocketAddr)>,
    handler: &Rc<H>,
    connections: &Rc<Connections>,
) where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    while let Some((stream, peer)) = waiting.pop_front() {
        connections.room().await;
        start(stream, peer, handler, connections);
    }
}

fn start<H, T>(stream: TcpStream, peer: SocketAddr, handler: &Rc<H>, connections: &Rc<Connections>)
where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    if connections.cuts(&stream) {
        return;
    }
    let (served, handler) = (connections.begin(&stream), Rc::clone(handler));
    let number = served.number();
    let task = spawn(async move { handle(stream, peer, &*handler, served).await });
    connections.set_task(number, task);
}

async fn handle<H, T>(stream: TcpStream, peer: SocketAddr, handler: &H, served: Served)
where
    H: AsyncFn(StreamReader, StreamWriter) -> T,
    T: HandlerOutcome + 'static,
{
    let (reader, writer) = stream.into_buffered_with(served.reader_limit());
    let sent = writer.ending();
    let outcome = caught(handler(reader, writer)).await.map(HandlerOutcome::failure);
    let failure = match outcome {
        Ok(None) => None,
        Ok(Some(HandlerFailure::PeerGone)) => {
            context::driver().counters().peer_disconnects.increment();
            None
        }
        Ok(Some(HandlerFailure::Error(message))) => Some((false, message)),
        Err(message) => Some((true, message)),
    };
    if let Some((panicked, message)) = failure {
        (context::incidents())(&Incident::HandlerFailed { peer, panicked, message });
    }
    sent.await;
    drop(served);
}

/// The output of a future, or the message of its panic.
async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let mut polled = Poll::Pending;
        match catch_panic(|| polled = future.as_mut().poll(context)) {
            Some(message) => Poll::Ready(Err(message)),
            None => polled.map(Ok),
        }
    })
    .await
}
