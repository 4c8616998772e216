//! Connections with a multishot receive in flight.

use std::io::Write;
use std::net::TcpStream as Peer;

use annulus::metrics;
use annulus::net::TcpStream;

use super::net::connected;
use super::poll::{once, until};

/// A connection with a multishot receive in flight.
pub(crate) async fn multishot_receiving() -> (TcpStream, Peer) {
    let (mut stream, mut peer) = connected();
    let before = metrics().multishot_receives;
    for _ in 0..2 {
        peer.write_all(b"small").unwrap();
        assert_eq!(&*stream.recv().await.unwrap(), b"small");
    }
    assert_eq!(metrics().multishot_receives, before, "it is worth while only from now on");
    assert!(once(Box::pin(stream.recv()).as_mut()).await.is_pending());
    assert_eq!(metrics().multishot_receives, before + 1);
    until(|| metrics().queued == 0).await;
    (stream, peer)
}
