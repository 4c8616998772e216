//! Promise 1: the kernel never touches a buffer that was freed.
//!
//! The race: an operation is in the kernel, or on one of its workers, when its future is dropped,
//! or the whole runtime is. The caller sees the future gone; the kernel may write to the buffer, or
//! send from it, an instant later. So the buffer must live on until the operation's last completion.
//!
//! The buffers here come from a pool that sees late accesses; [`common::memory`] says how. Peers
//! feed and drain the connections without pause, so that operations complete at all moments.
//!
//! Operations that kernel workers carry out are dropped in `src/op/on_workers.rs`, which can ask for
//! workers.

mod common;

use std::future::Future;
use std::io::{Read, Write};
use std::mem;
use std::net::TcpStream as Peer;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use annulus::net::TcpStream;
use annulus::{Builder, Incident, Runtime, spawn, yield_now};
use common::bounded::bounded;
use common::memory::{LARGEST, POISON, Pool};
use common::net::pair;
use common::poll::{once, yield_times};
use common::random::seeded;

/// What all payload consists of.
const PAYLOAD: u8 = 0x5a;

const CONNECTIONS: usize = 50;
const OPERATIONS: usize = 100_000;

#[test]
fn a_hundred_thousand_operations_dropped_at_random_leave_freed_memory_alone() {
    bounded(|| {
        let pool = Pool::new(2048);
        let (streams, far): (Vec<_>, Vec<_>) = (0..CONNECTIONS).map(|_| pair()).unzip();
        let peers = Peers::start(far);
        let mut random = seeded();
        // Each connection has one poll a turn.
        let runtime = Runtime::builder().polls_a_turn(CONNECTIONS).build().unwrap();
        let dropped: usize = runtime.block_on(async {
            let tasks = streams.into_iter().map(|stream| {
                let (pool, random) = (Rc::clone(&pool), random.fork());
                spawn(use_and_drop(TcpStream::from_std(stream), pool, random))
            });
            let mut dropped = 0;
            for task in tasks.collect::<Vec<_>>() {
                dropped += task.await.unwrap();
            }
            dropped
        });
        drop(runtime);
        peers.stop();
        pool.verify();
        assert_eq!(pool.alive(), 0, "every buffer is freed in the end");
        assert!(pool.taken() >= OPERATIONS);
        assert!(dropped > OPERATIONS / 10, "only {dropped} were dropped in flight");
    });
}

/// Runs one connection's operations, each for a few turns of the loop. Says how many were dropped
/// in flight.
async fn use_and_drop(mut stream: TcpStream, pool: Rc<Pool>, mut random: fastrand::Rng) -> usize {
    // So small that large writes have to wait.
    stream.set_send_buffer_size(4096).unwrap();
    let mut dropped = 0;
    for _ in 0..OPERATIONS / CONNECTIONS {
        // Small ones are satisfied at once, large ones by many of the peer's reads or writes.
        let length = random.choice([1, 64, 1500, LARGEST]).unwrap();
        let operation: Pin<Box<dyn Future<Output = ()> + '_>> = match random.u8(0..6) {
            0 => Box::pin(ignoring(stream.read(pool.take(length)))),
            1 => Box::pin(ignoring(stream.read_exact(pool.take(length)))),
            2 => Box::pin(ignoring(stream.peek(pool.take(length)))),
            3 => Box::pin(ignoring(stream.write(pool.filled(length, PAYLOAD)))),
            4 => Box::pin(ignoring(stream.write_all(pool.filled(length, PAYLOAD)))),
            _ => {
                let buffers = vec![pool.filled(length, PAYLOAD), pool.filled(length, PAYLOAD)];
                Box::pin(ignoring(stream.write_vectored(buffers)))
            }
        };
        dropped += usize::from(is_dropped_in_flight(operation, random.usize(1..4), &pool).await);
    }
    dropped
}

async fn ignoring<T>(future: impl Future<Output = T>) {
    future.await;
}

/// Drops an operation after a few turns of the loop, and says whether it was in flight: then its
/// buffers are kept.
async fn is_dropped_in_flight(
    mut operation: Pin<Box<dyn Future<Output = ()> + '_>>,
    turns: usize,
    pool: &Pool,
) -> bool {
    for turn in 0..turns {
        if turn > 0 {
            yield_now().await;
        }
        if once(operation.as_mut()).await.is_ready() {
            return false;
        }
    }
    let alive = pool.alive();
    drop(operation);
    pool.alive() == alive
}

#[test]
fn runtimes_dropped_with_operations_in_flight_leave_freed_memory_alone() {
    bounded(|| {
        let pool = Pool::new(1024);
        let mut random = seeded();
        let mut forgotten = 0;
        for _ in 0..200 {
            forgotten += drop_a_runtime(Runtime::builder().submissions(8), &pool, &mut random);
        }
        pool.verify();
        assert_eq!(pool.alive(), forgotten, "only what was forgotten is kept");
    });
}

/// A runtime that has no time to wait for the kernel leaks what the kernel may touch.
#[test]
fn runtimes_dropped_without_patience_leave_freed_memory_alone() {
    bounded(|| {
        let pool = Pool::new(1024);
        let mut random = seeded();
        let leaked = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let leaked = Arc::clone(&leaked);
            let builder = Runtime::builder().submissions(64).teardown_limit(Duration::ZERO);
            let builder = builder.on_incident(move |incident| {
                assert!(matches!(incident, Incident::OperationsLeaked { .. }), "{incident}");
                leaked.fetch_add(1, Ordering::Relaxed);
            });
            drop_a_runtime(builder, &pool, &mut random);
        }
        pool.verify();
        // By chance the kernel may have let go of everything already.
        assert!(leaked.load(Ordering::Relaxed) > 25, "a runtime says so if it leaks");
        assert!(pool.alive() > 0);
    });
}

/// Makes a runtime and drops it with operations in flight, while peers feed and drain the
/// connections. Says how many buffers it forgot.
fn drop_a_runtime(builder: Builder, pool: &Rc<Pool>, random: &mut fastrand::Rng) -> usize {
    let runtime = builder.polls_a_turn(1).build().unwrap();
    let (near, far): (Vec<_>, Vec<_>) = (0..6).map(|_| pair()).unzip();
    // The sockets outlive the runtime, so that what it might have left in flight could go on.
    let kept_open: Vec<_> = near.iter().map(|near| near.try_clone().unwrap()).collect();
    let mut forgotten = 0;
    let peers = runtime.block_on(async {
        for (index, near) in near.into_iter().enumerate() {
            let stream = TcpStream::from_std(near);
            let mut transfers =
                Box::pin(transfer_for_ever(stream, Rc::clone(pool), index % 2 == 0));
            assert!(once(transfers.as_mut()).await.is_pending());
            if random.u8(0..5) == 0 {
                mem::forget(transfers);
                forgotten += 1;
            } else {
                spawn(transfers);
            }
        }
        let peers = Peers::start(far);
        yield_times(random.usize(0..20)).await;
        peers
    });
    drop(runtime);
    // What a late operation would do, it would do as long as bytes come and go.
    thread::sleep(Duration::from_millis(1));
    peers.stop();
    drop(kept_open);
    forgotten
}

async fn transfer_for_ever(mut stream: TcpStream, pool: Rc<Pool>, reads: bool) {
    // One buffer at a time, so that one is in flight when this is dropped.
    loop {
        let result = match reads {
            true => stream.read(pool.take(LARGEST)).await.0,
            false => stream.write(pool.filled(LARGEST, PAYLOAD)).await.0,
        };
        result.unwrap();
    }
}

/// Feeds and drains the far ends of connections on a thread, until it is stopped.
struct Peers {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<bool>,
}

impl Peers {
    fn start(mut far: Vec<Peer>) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            let mut poisoned = false;
            for peer in &far {
                peer.set_nonblocking(true).unwrap();
            }
            while !stop.load(Ordering::Relaxed) {
                let peer = fastrand::choice(&mut far).unwrap();
                // Neither full nor empty sockets, nor closed ones, are failures here.
                let _ = peer.write(&[PAYLOAD; 1024][..fastrand::usize(1..1024)]);
                let mut received = [0; LARGEST];
                let count = peer.read(&mut received).unwrap_or(0);
                poisoned |= received[..count].contains(&POISON);
            }
            poisoned
        });
        Self { stopping, thread }
    }

    /// Asserts that nothing from freed memory was received.
    #[track_caller]
    fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        assert!(!self.thread.join().unwrap(), "freed memory was sent");
    }
}
