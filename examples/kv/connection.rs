//! A connection, on Annulus: receive, execute, send.
//!
//! A receive lends the bytes where the kernel has put them, and the requests in it are executed
//! there. All replies to what one receive has taken go out in one send: a pipeline of 16 requests
//! costs one of each. A connection that waits has no buffer at all.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use annulus::buf::{BufResult, Lease};
use annulus::net::TcpStream;

use super::node::{Local, Node};
use super::session::{Progress, Session};

/// Serves a connection to its end, or until the server stops and no request is left.
pub(crate) async fn serve(
    mut stream: TcpStream,
    node: Rc<Node>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut session = Session::new(&node);
    let mut stop = pin!(stop);
    while let Some(mut received) = receive(&mut stream, stop.as_mut()).await? {
        loop {
            let mut out = node.take_buffer();
            let progress = take_in(&mut received, |input| {
                session.advance(input, &mut Local::new(&node, &mut out))
            });
            if !out.is_empty() {
                out = send(&mut stream, out).await?;
            }
            node.return_buffer(out);
            match progress {
                Progress::NeedsInput => break,
                Progress::Full => {}
                Progress::Over => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Receives what comes next; `None` at the end, or when the server stops.
///
/// One future waits for the stop all the time that the connection is there. A new one for each
/// receive would enter and leave a queue each time.
pub(super) async fn receive(
    stream: &mut TcpStream,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> io::Result<Option<Lease>> {
    let mut receiving = pin!(stream.recv());
    // What has arrived is served, even when the server stops.
    let received = poll_fn(|context| match receiving.as_mut().poll(context) {
        Poll::Ready(received) => Poll::Ready(Some(received)),
        Poll::Pending => stop.as_mut().poll(context).map(|()| None),
    });
    let received = received.await.transpose()?;
    Ok(received.filter(|lease| !lease.is_empty()))
}

/// Executes requests in received bytes, which are returned to the runtime as soon as they are not
/// needed: the send of the replies may wait for the peer.
pub(super) fn take_in(
    received: &mut Lease,
    execute: impl FnOnce(&mut &[u8]) -> Progress,
) -> Progress {
    let mut input = &received[..];
    let progress = execute(&mut input);
    let left = input.len();
    if left == 0 {
        *received = Lease::default();
    } else {
        received.advance(received.len() - left);
    }
    progress
}

/// Sends replies, and returns the buffer, which is empty.
pub(super) async fn send(stream: &mut TcpStream, replies: Vec<u8>) -> io::Result<Vec<u8>> {
    let BufResult(sent, mut buffer) = stream.write_all(replies).await;
    sent?;
    buffer.clear();
    Ok(buffer)
}
