//! Accepting connections and handling them.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use futures_util::future::{Either, select};

use super::connections::{Connections, Served};
use super::{HandlerOutcome, StreamReader, StreamWriter};
use crate::error::{Incident, shielded};
use crate::net::tcp::{TcpListener, TcpStream};
use crate::runtime::{context, spawn};

/// Accepts until the server is closed; then handles those that had arrived.
pub(super) async fn serve<H, T>(
    mut listener: TcpListener,
    handler: Rc<H>,
    connections: Rc<Connections>,
) where
    H: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let listening = connections.listening();
    loop {
        let next = pin!(async {
            connections.room().await;
            listener.accept().await
        });
        let accepted = match select(next, pin!(connections.closed())).await {
            Either::Left((accepted, _)) => accepted,
            Either::Right(_) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Another address may have taken the room meanwhile.
                connections.room().await;
                start(stream, peer, &handler, &connections);
            }
            Err(error) => {
                let message = error.to_string();
                (context::incidents())(&Incident::AcceptFailed { message });
                break;
            }
        }
    }
    for (stream, peer) in listener.close().await {
        connections.room().await;
        start(stream, peer, &handler, &connections);
    }
    drop(listening);
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
    let (reader, writer) = stream.into_buffered();
    let sent = writer.ending();
    let failure = match caught(handler(reader, writer)).await {
        Ok(outcome) => outcome.failure().map(|message| (false, message)),
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
        match shielded(|| polled = future.as_mut().poll(context)) {
            Some(message) => Poll::Ready(Err(message)),
            None => polled.map(Ok),
        }
    })
    .await
}
