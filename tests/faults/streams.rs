//! Connections: bytes arrive once and in order, whichever reads and writes are dropped.

use std::net::Shutdown;

use annulus::buf::{BufResult, IoBuf};
use annulus::net::TcpStream;
use annulus::{spawn, yield_now};

use crate::common::poll::times;
use crate::{Random, bytes, polls, quick_pair, with_each_seed};

/// Reads in a random way, and perhaps drops the read. `expected` is what is to come.
async fn read(stream: &mut TcpStream, expected: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let polls = polls(random);
    let length = random.usize(1..3000);
    match random.u8(0..5) {
        0 => {
            let BufResult(count, bytes) = times(polls, stream.read(vec![0; length])).await?;
            Some(bytes[..count.unwrap()].to_vec())
        }
        1 => {
            let length = length.min(expected.len().max(1));
            let read = stream.read_exact(vec![0; length]);
            let BufResult(result, bytes) = times(polls, read).await?;
            if expected.is_empty() {
                assert!(result.is_err(), "nothing is to come");
                return Some(Vec::new());
            }
            result.unwrap();
            Some(bytes)
        }
        2 => {
            let BufResult(count, bytes) = times(polls, stream.peek(vec![0; length])).await?;
            let count = count.unwrap();
            assert!(bytes[..count] == expected[..count], "a peek shows what comes next");
            None
        }
        _ => Some(times(polls, stream.recv()).await?.unwrap().to_vec()),
    }
}

/// Reads to the end, dropping reads, and compares.
async fn read_all(mut stream: TcpStream, mut expected: &[u8], random: &mut Random) {
    loop {
        let Some(bytes) = read(&mut stream, expected, random).await else { continue };
        assert!(expected.starts_with(&bytes), "{} bytes from the end", expected.len());
        if bytes.is_empty() {
            assert!(expected.is_empty(), "it ends {} bytes early", expected.len());
            return;
        }
        expected = &expected[bytes.len()..];
    }
}

/// Writes all, in random ways.
async fn write_all(stream: &mut TcpStream, mut rest: &[u8], random: &mut Random) {
    while !rest.is_empty() {
        let piece = rest[..random.usize(1..20_000).min(rest.len())].to_vec();
        let length = piece.len();
        let count = match random.u8(0..5) {
            0 => stream.write(piece).await.0.unwrap(),
            1 => stream.write_all(piece).await.0.map(|()| length).unwrap(),
            2 => {
                let middle = random.usize(0..length);
                let parts = vec![piece.clone().slice(..middle), piece.slice(middle..)];
                stream.write_vectored(parts).await.0.unwrap()
            }
            3 => {
                let middle = random.usize(0..length);
                let parts = vec![piece.clone().slice(..middle), piece.slice(middle..)];
                stream.write_all_vectored(parts).await.0.map(|()| length).unwrap()
            }
            _ => stream.write_all_zero_copy(piece).await.map(|()| length).unwrap(),
        };
        assert!(0 < count && count <= length);
        rest = &rest[count..];
    }
}

#[test]
fn dropped_reads_lose_no_bytes_and_keep_their_order() {
    with_each_seed(async |random| {
        let (mut near, far) = quick_pair().await;
        let sent = bytes(random, 1..100_000);
        let expected = sent.clone();
        let mut reading = random.fork();
        let reader = spawn(async move { read_all(far, &expected, &mut reading).await });
        write_all(&mut near, &sent, random).await;
        drop(near);
        reader.await.unwrap();
    });
}

/// Both ends read and write at once.
#[test]
fn both_directions_of_a_connection_are_independent() {
    with_each_seed(async |random| {
        let (near, far) = quick_pair().await;
        let mut ends = Vec::new();
        let texts = [bytes(random, 1..30_000), bytes(random, 1..30_000)];
        for (index, end) in [near, far].into_iter().enumerate() {
            let (sent, expected) = (texts[index].clone(), texts[1 - index].clone());
            let (mut reading, mut writing) = (random.fork(), random.fork());
            let (read, write) = end.into_split();
            ends.push(spawn(async move {
                let mut whole = write;
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let piece = rest[..writing.usize(1..5000).min(rest.len())].to_vec();
                    let BufResult(count, _) = whole.write(piece).await;
                    rest = &rest[count.unwrap()..];
                }
                whole.shutdown().await.unwrap();
                drop(whole);
            }));
            ends.push(spawn(async move {
                let mut half = read;
                let mut expected = &expected[..];
                loop {
                    let polls = polls(&mut reading);
                    let Some(lease) = times(polls, half.recv()).await else { continue };
                    let lease = lease.unwrap();
                    assert!(expected.starts_with(&lease));
                    expected = &expected[lease.len()..];
                    if lease.is_empty() {
                        assert!(expected.is_empty(), "it ends {} bytes early", expected.len());
                        return;
                    }
                }
            }));
        }
        for end in ends {
            end.await.unwrap();
        }
    });
}

/// Each write has a value of its own in all of its bytes.
#[test]
fn the_peer_sees_a_prefix_of_each_dropped_write_and_all_of_the_others() {
    const WRITES: usize = 60;
    with_each_seed(async |random| {
        let (mut near, mut far) = quick_pair().await;
        let reader = spawn(async move {
            let mut received = [0; WRITES];
            let mut last = 0;
            loop {
                let lease = far.recv().await.unwrap();
                if lease.is_empty() {
                    return received;
                }
                for &byte in &lease[..] {
                    assert!(usize::from(byte) >= last, "write {byte} comes after {last}");
                    last = byte.into();
                    received[last] += 1;
                }
            }
        });
        let mut sent = Vec::new();
        for number in 0..WRITES {
            let length = random.usize(1..30_000);
            let buffer = vec![number as u8; length];
            let polls = polls(random);
            sent.push(match random.u8(0..3) {
                0 => {
                    let done = times(polls, near.write(buffer)).await;
                    done.map(|BufResult(count, _)| count.unwrap()).ok_or(length)
                }
                1 => {
                    let done = times(polls, near.write_all(buffer)).await;
                    done.map(|BufResult(result, _)| result.map(|()| length).unwrap()).ok_or(length)
                }
                _ => {
                    let done = times(polls, near.write_all_zero_copy(buffer)).await;
                    done.map(|result| result.map(|()| length).unwrap()).ok_or(length)
                }
            });
            if random.bool() {
                yield_now().await;
            }
        }
        near.shutdown(Shutdown::Write).await.unwrap();
        let received = reader.await.unwrap();
        for (number, (sent, received)) in sent.into_iter().zip(received).enumerate() {
            match sent {
                Ok(length) => assert_eq!(received, length, "write {number}"),
                Err(length) => assert!(received <= length, "write {number}: {received}"),
            }
        }
    });
}
