//! Accepting the connections of one address, and starting a handler for each.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use futures_util::future::{Either, select};

use super::forms::Handles;
use super::handler::{HandlerFailure, HandlerOutcome};
use super::peers::Peer;
use super::registry::{Accepting, Registry, Served};
use crate::error::{Incident, catch_panic};
use crate::net::listener::ListenSocket;
use crate::net::stream::Connection;
use crate::net::stream::sealed::Address;
use crate::runtime::{context, spawn};
use crate::trace::ConnectionSpan;

/// What the tasks of a server share.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    pub(super) registry: Rc<Registry>,
}

/// Accepts until the server is closed; then handles the connections that had arrived.
pub(super) async fn serve<S, H>(
    mut listener: ListenSocket<S>,
    shared: Rc<Shared<H>>,
    accepting: Accepting,
) where
    S: Connection,
    H: Handles<S>,
{
    let registry = Rc::clone(accepting.registry());
    let mut waiting = VecDeque::new();
    loop {
        let next = pin!(async {
            if !listener.is_balanced() {
                if let Some(room) = registry.room().await {
                    listener.set_room(room);
                }
            }
            listener.accept().await
        });
        let accepted = match select(next, pin!(registry.closed())).await {
            Either::Left((accepted, _)) => accepted,
            Either::Right(_) => break,
        };
        match accepted {
            Ok(connection) => {
                // The task of another address may have taken the room meanwhile.
                let (room, closed) = (pin!(registry.room()), pin!(registry.closed()));
                if let Either::Right(_) = select(room, closed).await {
                    waiting.push_back(connection);
                    break;
                }
                start(connection, &shared);
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
                listener.end_pauses();
                waiting.push_back(connection);
            }
            Err(error) => {
                // Served connections give their descriptors back.
                start_all(&mut waiting, &shared).await;
                if !listener.pause(&error).await {
                    break;
                }
            }
        }
    }
    // The address is free while the connections wait to be served.
    drop(listener);
    start_all(&mut waiting, &shared).await;
    drop(accepting);
}

/// Handles connections that have arrived, as there is room for them.
async fn start_all<S, H>(waiting: &mut VecDeque<(S, S::Addr)>, shared: &Rc<Shared<H>>)
where
    S: Connection,
    H: Handles<S>,
{
    while let Some(connection) = waiting.pop_front() {
        shared.registry.room().await;
        start(connection, shared);
    }
}

fn start<S, H>((stream, peer): (S, S::Addr), shared: &Rc<Shared<H>>)
where
    S: Connection,
    H: Handles<S>,
{
    let registry = &shared.registry;
    let known = peer.ip().and_then(|peer| Peer::of(peer.ip()));
    if registry.aborts(stream.socket()) || registry.refuses(stream.socket(), known) {
        return;
    }
    let served = registry.begin(stream.socket(), known);
    let key = served.key();
    let task = spawn(handle(stream, peer, Rc::clone(shared), served));
    registry.set_task(key, task);
}

async fn handle<S, H>(stream: S, peer: S::Addr, shared: Rc<Shared<H>>, served: Served)
where
    S: Connection,
    H: Handles<S>,
{
    let span = ConnectionSpan::of_peer(|| peer.to_text());
    let (input, sent) = H::prepare(stream, shared.handler.limits());
    let handler = shared.handler.handle(input);
    let outcome = {
        // Pinned here: as an argument of an `async fn` it would be in this future twice. Dropped
        // here: it may keep the writer, whose end is waited for below.
        let handler = pin!(handler);
        catch(handler, &span).await.map(HandlerOutcome::failure)
    };
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
        let peer = peer.ip();
        (context::incidents())(&Incident::HandlerFailed { peer, panicked, message });
    }
    sent.await;
    drop(served);
}

/// The output of a future that is polled inside of a span, or the message of its panic.
fn catch<F: Future>(
    mut future: Pin<&mut F>,
    span: &ConnectionSpan,
) -> impl Future<Output = Result<F::Output, String>> {
    poll_fn(move |context| {
        let mut polled = Poll::Pending;
        match catch_panic(|| polled = span.run(|| future.as_mut().poll(context))) {
            Some(message) => Poll::Ready(Err(message)),
            None => polled.map(Ok),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;
    use crate::net::server::forms::{Buffered, Whole};
    use crate::net::stream::BufferLimits;
    use crate::net::{StreamReader, StreamWriter, TcpStream};
    use crate::runtime::yield_now;

    const BIG: usize = 4096;

    fn size_of_its_future<H: Handles<TcpStream>>(_: H) -> usize {
        fn size_of_output<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        size_of_output(handle::<TcpStream, H>)
    }

    fn buffered<H: AsyncFn(StreamReader, StreamWriter)>(handler: H) -> Buffered<H> {
        Buffered { handler, limits: BufferLimits::default() }
    }

    fn whole<H: AsyncFn(TcpStream)>(handler: H) -> Whole<H> {
        Whole(handler)
    }

    /// There is one for each connection, so this is what bounds the number of connections.
    #[test]
    fn the_future_of_a_connection_holds_that_of_its_handler_once() {
        async fn hold_much() {
            let big = [0_u8; BIG];
            yield_now().await;
            black_box(big);
        }
        let buffered = size_of_its_future(buffered(async |_, _| hold_much().await));
        let whole = size_of_its_future(whole(async |_| hold_much().await));
        for size in [buffered, whole] {
            assert!((BIG..BIG + BIG / 2).contains(&size), "{size} bytes");
        }
    }
}
