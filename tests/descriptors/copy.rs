//! Passing on: from readers to writers, between connections, and as streams and sinks of bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream as Peer};
use std::thread::{self, JoinHandle};

use annulus::Runtime;
use annulus::io::{bytes_stream, copy};
use annulus::net::copy_bidirectional;
use blake3::{Hash, Hasher};
use futures_util::{SinkExt, StreamExt, TryStreamExt};

use crate::common::conditions::until;
use crate::common::descriptors;
use crate::common::net::{connected, reset};
use crate::common::poll::{once, times};
use crate::common::random::seeded;
use crate::common::watchdog::{block_on, run};

const LENGTH: usize = 8 << 20;

/// Sends random bytes in random pieces, and then the end.
fn send(mut peer: Peer, mut random: fastrand::Rng) -> JoinHandle<Hash> {
    thread::spawn(move || {
        let (mut hash, mut left) = (Hasher::new(), LENGTH);
        let mut piece = vec![0; 64 << 10];
        while left > 0 {
            let most = if random.bool() { 100 } else { piece.len() };
            let count = random.usize(1..=most).min(left);
            random.fill(&mut piece[..count]);
            peer.write_all(&piece[..count]).unwrap();
            hash.update(&piece[..count]);
            left -= count;
        }
        peer.shutdown(Shutdown::Write).unwrap();
        hash.finalize()
    })
}

/// Receives to the end.
fn receive(mut peer: Peer) -> JoinHandle<Hash> {
    thread::spawn(move || {
        let (mut hash, mut buffer) = (Hasher::new(), vec![0; 64 << 10]);
        loop {
            match peer.read(&mut buffer).unwrap() {
                0 => return hash.finalize(),
                count => drop(hash.update(&buffer[..count])),
            }
        }
    })
}

#[test]
fn a_copy_passes_on_all_and_says_how_much() {
    let _alone = descriptors::alone();
    let random = seeded();
    run(async {
        let (mut from, sender) = connected();
        let (mut to, receiver) = connected();
        let (sent, received) = (send(sender, random), receive(receiver));
        assert_eq!(copy(&mut from, &mut to).await.unwrap(), LENGTH as u64);
        drop(to);
        assert_eq!(sent.join().unwrap(), received.join().unwrap());
    });
}

/// From a reader to a writer, and dropped again and again.
#[test]
fn a_copy_between_buffered_streams_that_is_dropped_goes_on_without_a_loss() {
    let _alone = descriptors::alone();
    let mut random = seeded();
    // One poll a turn, so that the loop enters the kernel between two polls.
    let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
    block_on(&runtime, async {
        let (from, sender) = connected();
        let (to, receiver) = connected();
        let (sent, received) = (send(sender, random.fork()), receive(receiver));
        let (mut reader, _) = from.into_buffered();
        let (_, mut writer) = to.into_buffered();
        let mut dropped = 0;
        while times(random.usize(1..20), reader.copy_to(&mut writer)).await.is_none() {
            dropped += 1;
        }
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(sent.join().unwrap(), received.join().unwrap());
        assert!(dropped > 20, "only {dropped} were dropped");
    });
}

#[test]
fn both_directions_go_on_until_both_have_ended() {
    let _alone = descriptors::alone();
    let before = descriptors::open();
    let mut random = seeded();
    run(async {
        let (first, first_peer) = connected();
        let (second, second_peer) = connected();
        let there = receive(second_peer.try_clone().unwrap());
        let back = receive(first_peer.try_clone().unwrap());
        let sent = send(first_peer, random.fork());
        let copying = annulus::spawn(copy_bidirectional(first, second));
        // The other direction begins when the first has ended.
        until(|| sent.is_finished() && there.is_finished()).await;
        assert_eq!(sent.join().unwrap(), there.join().unwrap());
        assert!(!copying.is_finished());
        let answered = send(second_peer, random.fork());
        assert_eq!(copying.await.unwrap().unwrap(), (LENGTH as u64, LENGTH as u64));
        assert_eq!(answered.join().unwrap(), back.join().unwrap());
    });
    descriptors::assert_back_to(before);
}

/// A peer that does not read: nothing is lost, and the loop goes on.
#[test]
fn what_waits_for_a_slow_peer_is_not_lost() {
    let _alone = descriptors::alone();
    let random = seeded();
    run(async {
        let (first, first_peer) = connected();
        let (second, second_peer) = connected();
        let sent = send(first_peer.try_clone().unwrap(), random);
        let copying = annulus::spawn(copy_bidirectional(first, second));
        for _ in 0..20 {
            annulus::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert!(!copying.is_finished());
        // By then as much has been sent as a busy machine has had time for: not by this thread,
        // which is the one that passes it on.
        let rest = receive(second_peer);
        until(|| rest.is_finished() && sent.is_finished()).await;
        assert_eq!(rest.join().unwrap(), sent.join().unwrap());
        drop(first_peer);
        assert_eq!(copying.await.unwrap().unwrap().0, LENGTH as u64);
    });
}

#[test]
fn an_error_of_one_connection_ends_both() {
    let _alone = descriptors::alone();
    run(async {
        let (first, first_peer) = connected();
        let (second, mut second_peer) = connected();
        let copying = annulus::spawn(copy_bidirectional(first, second));
        annulus::yield_now().await;
        reset(first_peer);
        let error = copying.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(second_peer.read(&mut [0; 1]).unwrap(), 0);
    });
}

#[test]
fn a_stream_of_bytes_is_forwarded_to_a_writer() {
    let _alone = descriptors::alone();
    let random = seeded();
    run(async {
        let (from, sender) = connected();
        let (to, receiver) = connected();
        let (sent, received) = (send(sender, random), receive(receiver));
        let (_, writer) = to.into_buffered();
        bytes_stream(from).forward(writer).await.unwrap();
        assert_eq!(sent.join().unwrap(), received.join().unwrap());
    });
}

#[test]
fn a_stream_of_bytes_ends_with_its_connection_or_an_error() {
    let _alone = descriptors::alone();
    run(async {
        let (from, mut peer) = connected();
        peer.write_all(b"all").unwrap();
        drop(peer);
        let pieces: Vec<_> = bytes_stream(from).try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"all");
        let (from, peer) = connected();
        let mut pieces = bytes_stream(from);
        assert!(once(Box::pin(pieces.next()).as_mut()).await.is_pending());
        reset(peer);
        assert!(pieces.next().await.unwrap().is_err());
        assert!(pieces.next().await.is_none());
        assert!(pieces.next().await.is_none());
    });
}

/// A sink is ready while there is room, and what it has taken is sent once, whatever is dropped.
#[test]
fn a_writer_is_a_sink_that_waits_for_room() {
    let _alone = descriptors::alone();
    run(async {
        let (to, mut peer) = connected();
        let (_, mut writer) = to.into_buffered();
        let piece = vec![7; 1 << 20];
        let mut taken = 0;
        // Until neither the sockets nor the queue take any more.
        loop {
            let mut sending = Box::pin(writer.feed(piece.clone()));
            if times(100, sending.as_mut()).await.is_none() {
                break;
            }
            taken += piece.len();
        }
        assert!(once(Box::pin(SinkExt::<Vec<u8>>::flush(&mut writer)).as_mut()).await.is_pending());
        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all.len()
        });
        SinkExt::<Vec<u8>>::flush(&mut writer).await.unwrap();
        assert_eq!(writer.unsent(), 0);
        SinkExt::<&str>::close(&mut writer).await.unwrap();
        assert_eq!(reading.join().unwrap(), taken);
    });
}
