//! Sends without a copy: whole and in order between others, with the buffer freed after its
//! notification. (On the loopback interface the kernel copies all the same, and says so.)

use std::io::Read;
use std::thread;

use annulus::metrics;
use annulus::net::TcpStream;
use blake3::Hasher;
use bytes::Bytes;

use crate::common::net::connected;
use crate::common::poll::{times, until};
use crate::common::random::seeded;
use crate::common::watchdog::run;

/// Sends in all ways, and says what the peer should have received.
async fn send_all(stream: &mut TcpStream, random: &mut fastrand::Rng) -> blake3::Hash {
    let mut hash = Hasher::new();
    for _ in 0..200 {
        let mut bytes = vec![0; random.usize(1..200_000)];
        random.fill(&mut bytes);
        hash.update(&bytes);
        if random.bool() {
            stream.write_all_zero_copy(bytes).await.unwrap();
        } else {
            stream.write_all(bytes).await.0.unwrap();
        }
    }
    hash.finalize()
}

#[test]
fn what_is_sent_with_and_without_a_copy_arrives_in_order() {
    let mut random = seeded();
    run(async {
        let (mut stream, mut peer) = connected();
        let reader = thread::spawn(move || {
            let (mut hash, mut buffer) = (Hasher::new(), vec![0; 64 << 10]);
            loop {
                match peer.read(&mut buffer).unwrap() {
                    0 => return hash.finalize(),
                    count => drop(hash.update(&buffer[..count])),
                }
            }
        });
        let sent = send_all(&mut stream, &mut random).await;
        drop(stream);
        assert_eq!(sent, reader.join().unwrap());
        assert!(metrics().zero_copy_sends > 0);
    });
}

#[test]
fn a_buffer_is_freed_after_its_notification_and_a_connection_that_copies_asks_no_more() {
    run(async {
        let (mut stream, mut peer) = connected();
        let bytes = Bytes::from(vec![7; 100_000]);
        stream.write_all_zero_copy(bytes.clone()).await.unwrap();
        peer.read_exact(&mut vec![0; 100_000]).unwrap();
        until(|| bytes.is_unique()).await;
        assert_eq!(metrics().zero_copy_sends, 1);
        stream.write_all_zero_copy(bytes).await.unwrap();
        assert_eq!(metrics().zero_copy_sends, 1, "the loopback interface copies");
    });
}

#[test]
fn a_small_buffer_is_copied() {
    run(async {
        let (mut stream, mut peer) = connected();
        stream.write_all_zero_copy("small").await.unwrap();
        stream.write_all_zero_copy("").await.unwrap();
        peer.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(metrics().zero_copy_sends, 0);
    });
}

/// A dropped send is a dropped write: a part may have gone, and the next write comes behind it.
#[test]
fn the_next_write_comes_behind_a_dropped_one() {
    let mut random = seeded();
    run(async {
        for _ in 0..30 {
            let (mut stream, mut peer) = connected();
            stream.set_send_buffer_size(4096).unwrap();
            let polls = random.usize(1..400);
            let sent = vec![1; 4 << 20];
            let over = times(polls, stream.write_all_zero_copy(sent)).await.is_some();
            let reader = thread::spawn(move || {
                let mut all = Vec::new();
                peer.read_to_end(&mut all).unwrap();
                all
            });
            stream.write_all("behind").await.0.unwrap();
            drop(stream);
            let all = reader.join().unwrap();
            let (before, behind) = all.split_at(all.len() - 6);
            assert_eq!(behind, b"behind");
            assert!(before.iter().all(|&byte| byte == 1));
            assert!(!over || before.len() == 4 << 20);
        }
    });
}

#[test]
fn a_peer_that_is_gone_is_an_error() {
    run(async {
        let (mut stream, peer) = connected();
        drop(peer);
        let mut outcome = Ok(());
        while outcome.is_ok() {
            outcome = stream.write_all_zero_copy(vec![0; 100_000]).await;
        }
        let text = outcome.unwrap_err().to_string();
        assert!(text.starts_with("send: "), "{text}");
    });
}
