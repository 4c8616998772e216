//! Passing on between two connections.
//!
//! What comes is received on lease and sent from there. Moving it through a pipe instead (splice) takes
//! less of the processor for messages of 256 KiB, but none less for smaller ones, and is slower in both
//! cases: `docs/performance.md` has the figures.

use std::io;

use futures_util::future::try_join;

use super::{OwnedReadHalf, OwnedWriteHalf};
use crate::io::copy;
use crate::net::tcp::TcpStream;

/// Passes on between two connections, in both directions, until both have come to their end. Says how many
/// bytes went from the first to the second, and back.
///
/// The end of one direction is passed on, too: the other goes on. Bytes are not copied: they are sent from
/// where they were received.
///
/// # Errors
///
/// The first of either connection's. Then both are closed.
///
/// # Cancel safety
///
/// Dropped, both connections are closed.
///
/// # Example
///
/// ```no_run
/// use annulus::net::{TcpListener, TcpStream, copy_bidirectional};
///
/// #[annulus::main]
/// async fn main() -> std::io::Result<()> {
///     let mut listener = TcpListener::bind("127.0.0.1:7001").await?;
///     loop {
///         let (client, _) = listener.accept().await?;
///         annulus::spawn(async move {
///             let server = TcpStream::connect("127.0.0.1:7000").await?;
///             copy_bidirectional(client, server).await
///         });
///     }
/// }
/// ```
pub async fn copy_bidirectional(first: TcpStream, second: TcpStream) -> io::Result<(u64, u64)> {
    let (from_first, to_first) = first.into_split();
    let (from_second, to_second) = second.into_split();
    try_join(pass_on(from_first, to_second), pass_on(from_second, to_first)).await
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<u64> {
    let total = copy(&mut from, &mut to).await?;
    match to.shutdown().await {
        // Its peer is gone, after it had all.
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
        _ => Ok(total),
    }
}
