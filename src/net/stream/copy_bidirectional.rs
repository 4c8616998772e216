//! Copying between two connections, in both directions.
//!
//! Bytes are received on lease and sent from the lease. Moving them through a pipe instead (splice)
//! takes less processor time for messages of 256 KiB, but not for smaller ones, and is slower in
//! both cases: `docs/performance.md` has the figures.

use std::io;

use futures_util::future::try_join;

use super::{Connection, OwnedReadHalf, OwnedWriteHalf, split};
use crate::io::copy;

/// Copies between two connections, in both directions, until both are at EOF.
///
/// Returns how many bytes went from the first to the second, and back. EOF of one direction is
/// passed on, too, and the other direction continues. The connections may be of different kinds.
/// Bytes are not copied in memory: they are sent from where they were received.
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
///     let listener = TcpListener::bind("127.0.0.1:7001").await?;
///     loop {
///         let (client, _) = listener.accept().await?;
///         annulus::spawn(async move {
///             let server = TcpStream::connect("127.0.0.1:7000").await?;
///             copy_bidirectional(client, server).await
///         });
///     }
/// }
/// ```
pub async fn copy_bidirectional<A: Connection, B: Connection>(
    first: A,
    second: B,
) -> io::Result<(u64, u64)> {
    let (from_first, to_first) = split(first);
    let (from_second, to_second) = split(second);
    try_join(copy_to_eof(from_first, to_second), copy_to_eof(from_second, to_first)).await
}

async fn copy_to_eof<A: Connection, B: Connection>(
    mut from: OwnedReadHalf<A>,
    mut to: OwnedWriteHalf<B>,
) -> io::Result<u64> {
    let total = copy(&mut from, &mut to).await?;
    match to.shutdown().await {
        // The peer is gone, after it had received all bytes.
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
        _ => Ok(total),
    }
}
