//! A connection, on Annulus: receive, execute, send.
//!
//! A receive lends the bytes where the kernel has put them, and the requests in it are executed
//! there. All replies to what one receive has taken go out in one send: a pipeline of 16 requests
//! costs one of each. A connection that waits has no buffer at all.

use std::io;
use std::rc::Rc;

use annulus::buf::{BufResult, Lease};
use annulus::net::TcpStream;

use super::node::{Local, Node};
use super::session::{Progress, Session};

/// Serves a connection to its end.
pub(crate) async fn serve(mut stream: TcpStream, node: Rc<Node>) -> io::Result<()> {
    let mut session = Session::new(&node);
    loop {
        let mut received = stream.recv().await?;
        if received.is_empty() {
            return Ok(());
        }
        loop {
            let mut out = node.take_buffer();
            let mut input = &received[..];
            let progress = session.advance(&mut input, &mut Local::new(&node, &mut out));
            let left = input.len();
            if left == 0 {
                // Returned before the send, which may wait for the peer.
                received = Lease::default();
            } else {
                received.advance(received.len() - left);
            }
            if !out.is_empty() {
                let BufResult(sent, buffer) = stream.write_all(out).await;
                out = buffer;
                sent?;
            }
            node.return_buffer(out);
            match progress {
                Progress::NeedsInput => break,
                Progress::Full => {}
                Progress::Over => return Ok(()),
            }
        }
    }
}
