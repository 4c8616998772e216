//! A connection of the store, on Tokio: what `examples/kv/connection.rs` does, with a buffer of the
//! connection, as Tokio's users have.

use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::node::{Local, Node};
use super::one_node;
use super::session::{Progress, Session};
use crate::contenders::own_buffer;

/// Serves on Tokio, on this thread alone. Returns only with an error.
pub(crate) async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let node = one_node();
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        drop(spawn_local(converse(stream, Rc::clone(&node), own_buffer())));
    }
}

/// Serves a connection to its end.
async fn converse(mut stream: TcpStream, node: Rc<Node>, buffer_size: usize) -> io::Result<()> {
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
