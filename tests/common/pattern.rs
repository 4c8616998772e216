//! Bytes whose order can be told.

use annulus::net::TcpStream;

/// `length` bytes that begin with `seed` and in which no two places near each other look alike.
pub(crate) fn pattern(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|n| seed.wrapping_add((n % 251) as u8)).collect()
}

/// Receives `length` bytes on lease.
pub(crate) async fn receive_all(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < length {
        let lease = stream.recv().await.unwrap();
        assert!(!lease.is_empty(), "the stream ended early");
        received.extend_from_slice(&lease);
    }
    received
}
