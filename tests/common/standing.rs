//! Connections on which an entry goes on by itself.

use std::io::Write;
use std::net::TcpStream as Peer;

use annulus::metrics;
use annulus::net::TcpStream;

use super::net::connected;
use super::poll::{once, until};

/// What a watched connection has brought at a time.
pub(crate) const LARGE: usize = 32 * 1024;

/// A connection that receives by itself.
pub(crate) async fn flowing() -> (TcpStream, Peer) {
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

/// A connection that is watched.
pub(crate) async fn watched() -> (TcpStream, Peer) {
    let (mut stream, mut peer) = connected();
    let before = metrics().multishot_polls;
    for n in 0.. {
        if metrics().multishot_polls > before {
            break;
        }
        assert!(n < 10, "after a few large messages it is");
        peer.write_all(&[7; LARGE]).unwrap();
        receive(&mut stream, LARGE, 7).await;
        assert!(once(Box::pin(stream.recv()).as_mut()).await.is_pending());
    }
    until(|| metrics().queued == 0).await;
    (stream, peer)
}

/// Receives so many bytes, which are all the same.
pub(crate) async fn receive(stream: &mut TcpStream, mut count: usize, byte: u8) {
    while count > 0 {
        let lease = stream.recv().await.unwrap();
        assert!(!lease.is_empty() && lease.iter().all(|&received| received == byte));
        count -= lease.len();
    }
}
