//! The type of TCP connections. Its methods are in `connect`, `options` and, as far as all streams
//! have them, in `stream::methods`.

use std::rc::Rc;

use crate::op::StreamSocket;

/// A TCP connection, on the thread of its runtime.
///
/// Reads and writes take a buffer and return it with the result; see [`crate::buf`]. Dropped
/// futures lose no bytes; see [`crate::net`]. The connection is closed when the stream, its halves,
/// and the operations that were dropped in flight are gone.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, TcpStream};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let client = annulus::spawn(async move {
///         let mut stream = TcpStream::connect(address).await?;
///         stream.write_all("ping").await.0?;
///         stream.read_exact(Box::new([0; 4])).await.into_result()
///     });
///     let (mut stream, _) = listener.accept().await?;
///     let (count, buffer) = stream.read(Vec::with_capacity(64)).await.into_result()?;
///     assert_eq!(count, 4);
///     stream.write_all(buffer).await.0?;
///     let ((), reply) = client.await??;
///     assert_eq!(&*reply, b"ping");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TcpStream {
    pub(in crate::net) socket: Rc<StreamSocket>,
}
