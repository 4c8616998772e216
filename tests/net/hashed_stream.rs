//! Promise 2: reads that are dropped again and again lose no byte and change no order.
//!
//! The race: a read's time is up, its future is dropped, and the kernel is asked to cancel it; but
//! bytes arrive first, and the kernel has taken them off the socket for the buffer of a future that
//! is gone. They must be what the next read returns, before anything that came after them. A read
//! of an exact length may have been filled in part, over several steps, when it is dropped.
//!
//! Debug builds move 64 MiB, or 256 MiB with `ANNULUS_FULL=1`; release builds always 256 MiB.

use std::env;
use std::io::Write;
use std::net::TcpStream as Peer;
use std::thread;
use std::time::Duration;

use annulus::Runtime;
use annulus::buf::{BufResult, IoBuf, IoBufMut};
use annulus::net::TcpStream;
use annulus::time::timeout;
use blake3::{Hash, Hasher};
use bytes::BytesMut;

use crate::common::bounded::bounded_by;
use crate::common::net::accepted;
use crate::common::patience::limit;
use crate::common::random::seeded;
use crate::common::skip::{build_or_skip, needs_kernel_ring};

fn length() -> usize {
    let full = !cfg!(debug_assertions) || env::var_os("ANNULUS_FULL").is_some();
    if full { 256 << 20 } else { 64 << 20 }
}

#[test]
fn a_stream_read_by_reads_that_are_dropped_again_and_again_arrives_whole() {
    arrives_whole(&Runtime::new().unwrap());
}

#[test]
fn a_stream_on_a_direct_descriptor_arrives_whole() {
    if let Some(runtime) = build_or_skip(Runtime::builder().direct_descriptors(4)) {
        arrives_whole(&runtime);
    }
}

#[test]
fn a_stream_read_through_a_submission_thread_arrives_whole() {
    if needs_kernel_ring("only the kernel has a submission thread") {
        return;
    }
    let idle = Duration::from_millis(1);
    arrives_whole(&Runtime::builder().sqpoll(idle).build().unwrap());
}

fn arrives_whole(runtime: &Runtime) {
    bounded_by(3 * limit(), || {
        let mut random = seeded();
        let (received, dropped) = runtime.block_on(async {
            let (stream, peer) = accepted().await;
            let sender = {
                let random = random.fork();
                thread::spawn(move || send(peer, random))
            };
            let mut receiver = Receiver::new(stream);
            while receiver.remaining > 0 {
                receiver.receive_something(&mut random).await;
            }
            let BufResult(end, _) = receiver.stream.read(vec![0]).await;
            assert_eq!(end.unwrap(), 0, "nothing follows");
            assert_eq!(receiver.hash.finalize(), sender.join().unwrap());
            assert!(annulus::metrics().inline_calls > 0, "inline reads are among them");
            (receiver.received, receiver.dropped_in_flight)
        });
        println!("{received} transfers, {dropped} dropped in flight");
        // Thousands on an idle machine; a busy one sends more slowly than reads are given up.
        assert!(dropped > 100, "only {dropped} were dropped in flight");
    });
}

/// Sends random bytes in random pieces, and is slow now and then so that reads have to wait.
fn send(mut peer: Peer, mut random: fastrand::Rng) -> Hash {
    let mut hash = Hasher::new();
    let mut remaining = length();
    let mut piece = vec![0; 16 << 10];
    while remaining > 0 {
        let count = random.usize(1..=piece.len()).min(remaining);
        random.fill(&mut piece[..count]);
        peer.write_all(&piece[..count]).unwrap();
        hash.update(&piece[..count]);
        remaining -= count;
        if random.u8(0..4) > 0 {
            thread::sleep(Duration::from_micros(random.u64(1..100)));
        }
    }
    hash.finalize()
}

struct Receiver {
    stream: TcpStream,
    hash: Hasher,
    remaining: usize,
    /// What was last looked at and not yet read.
    peeked: Vec<u8>,
    received: usize,
    dropped_in_flight: usize,
}

#[derive(Clone, Copy)]
enum How {
    Read,
    Exactly,
    Peek,
    /// On lease, with no buffer.
    Lease,
}

impl Receiver {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            hash: Hasher::new(),
            remaining: length(),
            peeked: Vec::new(),
            received: 0,
            dropped_in_flight: 0,
        }
    }

    /// Receives in a random way, into a buffer of a random type and size, and gives up after a
    /// random time.
    async fn receive_something(&mut self, random: &mut fastrand::Rng) {
        let how =
            random.choice([How::Read, How::Lease, How::Exactly, How::Exactly, How::Peek]).unwrap();
        let most = random.choice([16, 4096, 256 << 10]).unwrap();
        let size = random.usize(1..=most).min(self.remaining);
        let limit = Duration::from_micros(random.u64(0..300));
        match random.u8(0..5) {
            0 => self.receive(how, limit, Vec::with_capacity(size)).await,
            1 => self.receive(how, limit, vec![0; size].into_boxed_slice()).await,
            2 => self.receive(how, limit, BytesMut::with_capacity(size)).await,
            3 => self.receive(how, limit, vec![0; size + 9].slice(4..size + 4)).await,
            _ => {
                let mut appended = Vec::with_capacity(size + 4);
                appended.extend_from_slice(b"head");
                self.receive(how, limit, appended.slice(4..)).await;
            }
        }
    }

    async fn receive(&mut self, how: How, limit: Duration, buffer: impl IoBufMut) {
        let stream = &mut self.stream;
        let outcome = match how {
            How::Read => timeout(limit, stream.read(buffer)).await,
            How::Lease => return self.receive_lease(limit).await,
            How::Peek => timeout(limit, stream.peek(buffer)).await,
            How::Exactly => timeout(limit, stream.read_exact(buffer))
                .await
                .map(|read| BufResult(read.0.map(|()| read.1.bytes_total()), read.1)),
        };
        match outcome {
            Ok(BufResult(count, buffer)) => {
                self.take_note(how, &buffer.as_bytes()[..count.unwrap()]);
            }
            Err(_) => self.note_dropped(),
        }
    }

    async fn receive_lease(&mut self, limit: Duration) {
        match timeout(limit, self.stream.recv()).await {
            Ok(lease) => self.take_note(How::Lease, &lease.unwrap()),
            Err(_) => self.note_dropped(),
        }
    }

    fn note_dropped(&mut self) {
        // Nothing but the cancel of a read in flight is queued at this moment.
        self.dropped_in_flight += usize::from(annulus::metrics().queued > 0);
    }

    fn take_note(&mut self, how: How, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "the stream ended early");
        let known = self.peeked.len().min(bytes.len());
        assert!(bytes[..known] == self.peeked[..known], "what was peeked is not what came");
        if let How::Peek = how {
            self.peeked = bytes.to_vec();
            return;
        }
        self.peeked.drain(..known);
        self.hash.update(bytes);
        self.remaining -= bytes.len();
        self.received += 1;
    }
}
