//! A connection of the store, on Tokio: what `examples/kv/connection.rs` does, with a buffer of the
//! connection, as Tokio's users have.

use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::node::{Local, Node};
use super::session::{Progress, Session};

/// Serves a connection to its end.
pub(crate) async fn serve(
    mut stream: TcpStream,
    node: Rc<Node>,
    buffer_size: usize,
) -> io::Result<()> {
    let mut session = Session::new(&node);
    let mut buffer = vec![0; buffer_size];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let mut input = &buffer[..count];
        loop {
            let mut out = node.take_buffer();
            let progress = session.advance(&mut input, &mut Local::new(&node, &mut out));
            if !out.is_empty() {
                stream.write_all(&out).await?;
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
