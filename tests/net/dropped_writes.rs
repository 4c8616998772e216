//! A write that is dropped in flight may have sent a part, and never mixes with the next.
//!
//! The race: a write is dropped when its SQE is on its way to the kernel, which will still send
//! some of its bytes; a next write that did not wait for that would put its own before or between
//! them. What the peer must see of each write is a prefix, in the order of the writes.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Peer};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use annulus::buf::{BufResult, IoBuf};
use annulus::net::TcpStream;
use annulus::time::timeout;
use annulus::{Runtime, metrics};

use crate::common::bounded::bounded;
use crate::common::net::{connected, pair};
use crate::common::patience::patient;
use crate::common::poll::{once, times};
use crate::common::random::seeded;

const WRITES: usize = 200;
const LONGEST: usize = 256 << 10;
/// The first byte of each record, and no other byte of it.
const START: u8 = 0xff;
/// A start, and the record's number.
const HEAD: usize = 3;

/// A record: its start, its number, and a ramp that begins with the number, so that each byte says
/// where it belongs.
fn record(number: usize, length: usize) -> Vec<u8> {
    static RAMP: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..0x80 + (1 << 20)).map(|index| (index & 0x7f) as u8).collect());
    let mut record = vec![START, (number >> 7) as u8, (number & 0x7f) as u8];
    record.extend_from_slice(&RAMP[number & 0x7f..]);
    record.truncate(length);
    record
}

/// How many bytes of a record are sent, as far as the writer knows.
#[derive(Clone, Copy)]
enum Sent {
    Exactly(usize),
    AtMost(usize),
}

#[test]
fn the_peer_sees_a_prefix_of_each_dropped_write_and_then_the_next_write() {
    bounded(|| {
        let (near, far) = small_connection();
        let peer = thread::spawn(move || receive_records(far));
        let mut random = seeded();
        let mut dropped_in_flight = 0;
        let sent: Vec<Sent> =
            Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
                let mut stream = TcpStream::from_std(near);
                let mut sent = Vec::new();
                for number in 0..WRITES {
                    let outcome = write_record(&mut stream, number, &mut random).await;
                    // Nothing but the cancel of a write in flight is queued at this moment.
                    dropped_in_flight += usize::from(metrics().queued > 0);
                    sent.push(outcome);
                }
                stream.shutdown(Shutdown::Write).await.unwrap();
                sent
            });
        let received = peer.join().unwrap();
        for (number, sent) in sent.into_iter().enumerate() {
            match sent {
                Sent::Exactly(count) => assert_eq!(received[number], count, "write {number}"),
                Sent::AtMost(count) => assert!(received[number] <= count, "write {number}"),
            }
        }
        assert!(dropped_in_flight > WRITES / 10, "only {dropped_in_flight} were dropped in flight");
    });
}

/// Writes a record in a random way, and perhaps drops the write.
async fn write_record(stream: &mut TcpStream, number: usize, random: &mut fastrand::Rng) -> Sent {
    let length = random.usize(HEAD..LONGEST);
    let bytes = record(number, length);
    // Dropped as it is submitted, or some turns later, or not.
    let some = random.usize(2..10);
    let polls = random.choice([1, some, usize::MAX]).unwrap();
    let sent = match random.u8(0..3) {
        0 => times(polls, stream.write(bytes)).await.map(|BufResult(count, _)| count.unwrap()),
        1 => times(polls, stream.write_all(bytes)).await.map(|BufResult(result, _)| {
            result.unwrap();
            length
        }),
        _ => {
            let middle = random.usize(0..length);
            let parts = vec![bytes.clone().slice(..middle), bytes.slice(middle..)];
            times(polls, stream.write_vectored(parts))
                .await
                .map(|BufResult(count, _)| count.unwrap())
        }
    };
    sent.map_or(Sent::AtMost(length), Sent::Exactly)
}

/// Reads slowly to the end of the stream, and says how many bytes came of each record. Panics if a
/// byte is not in its place.
fn receive_records(mut peer: Peer) -> Vec<usize> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        let count = peer.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&piece[..count]);
        thread::sleep(Duration::from_micros(fastrand::u64(0..100)));
    }
    let mut received = vec![0; WRITES];
    let mut next = 0;
    // What comes before the first start is nothing.
    let mut parts = bytes.split(|&byte| byte == START);
    assert_eq!(parts.next(), Some(&[][..]));
    for part in parts {
        // A part that has lost its number belongs to the next record of which that much can be.
        let number = match *part {
            [high, low, ..] => usize::from(high) << 7 | usize::from(low),
            _ => next,
        };
        assert!(number >= next, "write {number} came after write {}", next - 1);
        let expected = record(number, 1 + part.len());
        assert!(part == &expected[1..], "write {number} is not whole, or mixed with another");
        received[number] = 1 + part.len();
        next = number + 1;
    }
    received
}

/// A connection with a send buffer so small that most writes have to wait for the peer.
fn small_connection() -> (Peer, Peer) {
    let (near, far) = pair();
    socket2::SockRef::from(&near).set_send_buffer_size(4096).unwrap();
    (near, far)
}

/// Submitted together, both writes would find room for a part of their bytes.
#[test]
fn a_write_right_behind_a_write_dropped_as_it_was_submitted_is_sent_whole() {
    bounded(|| {
        annulus::run(async {
            for _ in 0..20 {
                let (near, far) = small_connection();
                let peer = thread::spawn(move || receive_records(far));
                let mut stream = TcpStream::from_std(near);
                drop_as_it_is_submitted(&mut stream, record(0, 1 << 20)).await;
                {
                    let mut next = pin!(stream.write_all(record(1, LONGEST)));
                    assert_waits(next.as_mut()).await;
                    next.await.0.unwrap();
                }
                drop(stream);
                let received = peer.join().unwrap();
                assert!(received[0] < 1 << 20, "the first was cancelled");
                assert_eq!(received[1], LONGEST);
            }
        })
        .unwrap();
    });
}

/// Drops a write right after its SQE has been queued. (It must not be alone there: then a call
/// would do its work instead.)
async fn drop_as_it_is_submitted(stream: &mut TcpStream, bytes: Vec<u8>) {
    let (mut other, _far) = connected();
    assert!(times(1, other.read(vec![0])).await.is_none());
    let (calls, queued) = (metrics().inline_calls, metrics().queued);
    assert!(times(1, stream.write_all(bytes)).await.is_none());
    assert_eq!(metrics().inline_calls, calls);
    assert_eq!(metrics().queued, queued + 2, "the write and its cancel");
}

/// Polls a write behind one that has just been dropped.
async fn assert_waits(next: Pin<&mut impl Future>) {
    let queued = metrics().queued;
    assert!(once(next).await.is_pending());
    assert_eq!(metrics().queued, queued, "it waits for the other's end");
}

#[test]
fn writes_of_all_kinds_wait_for_the_end_of_a_dropped_one() {
    bounded(|| {
        annulus::run(async {
            let (near, _far) = small_connection();
            let mut stream = TcpStream::from_std(near);
            drop_as_it_is_submitted(&mut stream, record(0, 1 << 20)).await;
            assert_waits(pin!(stream.write("one"))).await;
            assert_waits(pin!(stream.write_all("all"))).await;
            assert_waits(pin!(stream.write_vectored(vec!["some", "parts"]))).await;
            assert_waits(pin!(stream.write_all_vectored(vec!["all", "parts"]))).await;
            assert_waits(pin!(stream.write_all_zero_copy(vec![0; 1 << 20]))).await;
            let (file, calls) = (File::open("Cargo.toml").unwrap(), metrics().inline_calls);
            assert_waits(pin!(stream.send_file(&file, ..))).await;
            assert_eq!(metrics().inline_calls, calls, "it has not begun");
        })
        .unwrap();
    });
}

#[test]
fn shutdown_waits_for_a_dropped_write_and_then_the_peer_reads_to_the_end() {
    bounded(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let (near, mut far) = small_connection();
            let mut stream = TcpStream::from_std(near);
            let bytes = record(1, 1 << 20);
            drop_as_it_is_submitted(&mut stream, bytes.clone()).await;
            {
                let mut shutdown = pin!(stream.shutdown(Shutdown::Write));
                assert!(once(shutdown.as_mut()).await.is_pending(), "the write has not ended yet");
                shutdown.await.unwrap();
            }
            let mut received = Vec::new();
            far.read_to_end(&mut received).unwrap();
            assert!(received.len() < bytes.len(), "the write had not found room for all");
            assert!(received == bytes[..received.len()], "it sent a prefix");
        });
    });
}

/// A dropped write must not stay in the kernel for as long as the peer pleases, with its buffer and
/// its descriptor.
#[test]
fn a_write_dropped_as_it_is_submitted_ends_although_the_peer_never_reads() {
    bounded(|| {
        annulus::run(async {
            let (near, mut far) = small_connection();
            let mut stream = TcpStream::from_std(near);
            drop_as_it_is_submitted(&mut stream, vec![7; 1 << 20]).await;
            let shutdown =
                timeout(patient(Duration::from_secs(5)), stream.shutdown(Shutdown::Write)).await;
            shutdown.expect("the dropped write has ended").unwrap();
            // The other direction goes on.
            far.write_all(b"still here").unwrap();
            let BufResult(result, reply) = stream.read_exact(Box::new([0; 10])).await;
            result.unwrap();
            assert_eq!(*reply, *b"still here");
        })
        .unwrap();
    });
}
