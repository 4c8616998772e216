//! Promise 1: the kernel never touches a buffer that was freed.
//!
//! The race: an operation is in the kernel, or on one of its workers, when its future is dropped,
//! or the whole runtime is. The caller sees the future gone; the kernel may write to the buffer, or
//! send from it, an instant later. So the buffer must live on until the operation's last
//! completion.
//!
//! The buffers here come from a pool that sees late accesses; [`common::memory`] says how. Peers
//! feed and drain the connections without pause, so that operations complete at all moments.
//!
//! Sockets do not go to the kernel's workers unless they are sent there, or the kernel has tried an
//! operation 128 times in vain: then it gives it to a worker, which blocks in it. Here, a thief
//! with a copy of the socket takes away each byte that the kernel has been woken for. A worker is a
//! thread of its own that no close of a ring stops, and so the one that touches memory late.
//! (`src/op/tests/io_wq.rs` asks for workers outright.)

use std::future::Future;
use std::io::{Read, Write};
use std::mem::{self, MaybeUninit};
use std::net::TcpStream as Peer;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use annulus::net::TcpStream;
use annulus::{Builder, Incident, Runtime, metrics, spawn, yield_now};
use socket2::SockRef;

use crate::common::bounded::{bounded, bounded_by};
use crate::common::memory::{LARGEST, POISON, Pool};
use crate::common::net::pair;
use crate::common::patience::limit;
use crate::common::poll::{once, until, yield_times};
use crate::common::random::seeded;
use crate::common::skip::needs_kernel_ring;
use crate::common::threads::kernel_workers;

/// What all payload consists of.
const PAYLOAD: u8 = 0x5a;
/// Rounds of the tests on kernel workers.
const ROUNDS: usize = 300;

const CONNECTIONS: usize = 50;
const OPERATIONS: usize = 100_000;

#[test]
fn a_hundred_thousand_operations_dropped_at_random_leave_freed_memory_alone() {
    bounded_by(3 * limit(), || {
        let pool = Pool::new(2048);
        let (streams, far): (Vec<_>, Vec<_>) = (0..CONNECTIONS).map(|_| pair()).unzip();
        let peers = Peers::start(far);
        let mut random = seeded();
        // Each connection has one poll a turn.
        let runtime = Runtime::builder().max_polls_per_turn(CONNECTIONS).build().unwrap();
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
        // Sends are in flight only as they are submitted: the kernel has nothing of one that waits
        // for room.
        assert!(dropped > OPERATIONS / 50, "only {dropped} were dropped in flight");
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
fn operations_dropped_while_a_kernel_worker_runs_them_leave_freed_memory_alone() {
    if needs_kernel_ring("it waits for a kernel worker") {
        return;
    }
    bounded(|| {
        let mut random = seeded();
        rounds_on_workers(|| {
            let (delay, turns) = (random.u64(0..100), random.usize(0..20));
            move || drop_on_a_worker(delay, turns)
        });
    });
}

/// Drops a read in flight. Says whether a worker ran it.
fn drop_on_a_worker(delay: u64, turns: usize) -> bool {
    let pool = Pool::new(2);
    let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
    let on_worker = runtime.block_on(async {
        let (near, mut far) = pair();
        let thief = near.try_clone().unwrap();
        let mut stream = TcpStream::from_std(near);
        let mut read = Box::pin(stream.read(pool.take(LARGEST)));
        let on_worker = drive_to_a_worker(read.as_mut(), &mut far, &thief).await;
        let feeder = feed_after(delay, far);
        yield_times(turns).await;
        drop(read);
        feeder.join().unwrap();
        until(|| metrics().in_kernel == 0).await;
        on_worker
    });
    pool.verify();
    assert_eq!(pool.alive(), 0);
    on_worker
}

#[test]
fn runtimes_dropped_while_a_kernel_worker_runs_an_operation_leave_freed_memory_alone() {
    if needs_kernel_ring("it waits for a kernel worker") {
        return;
    }
    bounded(|| {
        let mut random = seeded();
        rounds_on_workers(|| {
            let delay = random.u64(0..200);
            move || {
                let (on_worker, alive) = drop_a_runtime_with_a_worker(Runtime::builder(), delay);
                assert_eq!(alive, 0);
                on_worker
            }
        });
    });
}

/// Drops a runtime with a read in flight. Says whether a worker ran it, and how many buffers are
/// kept.
fn drop_a_runtime_with_a_worker(builder: Builder, delay: u64) -> (bool, usize) {
    let pool = Pool::new(2);
    let (near, mut far) = pair();
    // It outlives the runtime, so that what that might have left in flight could go on.
    let thief = near.try_clone().unwrap();
    let kept_open = near.try_clone().unwrap();
    let runtime = builder.max_polls_per_turn(1).build().unwrap();
    let (on_worker, feeder) = runtime.block_on(async {
        let (mut stream, buffer) = (TcpStream::from_std(near), pool.take(LARGEST));
        let mut read = Box::pin(async move { drop(stream.read(buffer).await) });
        let on_worker = drive_to_a_worker(read.as_mut(), &mut far, &thief).await;
        spawn(read);
        (on_worker, feed_after(delay, far))
    });
    drop(runtime);
    feeder.join().unwrap();
    // What a late worker would do, it would do now.
    thread::sleep(Duration::from_micros(100));
    pool.verify();
    drop(kept_open);
    (on_worker, pool.alive())
}

/// Runs rounds, each on a thread of its own, which has workers of its own. Where each takes long,
/// fewer will do.
fn rounds_on_workers<F: FnOnce() -> bool + Send + 'static>(mut round: impl FnMut() -> F) {
    const ENOUGH: Duration = Duration::from_secs(15);
    let (begun, mut rounds, mut on_workers) = (Instant::now(), 0, 0);
    while rounds < ROUNDS && (rounds < ROUNDS / 10 || begun.elapsed() < ENOUGH) {
        on_workers += usize::from(thread::spawn(round()).join().unwrap());
        rounds += 1;
    }
    assert!(on_workers > rounds / 2, "a worker ran no more than {on_workers} of {rounds}");
}

#[test]
fn runtimes_dropped_with_operations_in_flight_leave_freed_memory_alone() {
    bounded(|| {
        let pool = Pool::new(1024);
        let mut random = seeded();
        let mut forgotten = 0;
        for _ in 0..200 {
            forgotten += drop_a_runtime(Runtime::builder().sq_entries(8), &pool, &mut random);
        }
        pool.verify();
        assert_eq!(pool.alive(), forgotten, "only what was forgotten is kept");
    });
}

/// A runtime that has no time to wait for the kernel leaks what the kernel may touch: what a worker
/// runs has not ended as soon as it is cancelled.
#[test]
fn runtimes_dropped_without_patience_leave_freed_memory_alone() {
    if needs_kernel_ring("it waits for a kernel worker") {
        return;
    }
    bounded(|| {
        let mut random = seeded();
        let leaked: usize = (0..ROUNDS / 3)
            .map(|_| {
                let delay = random.u64(0..200);
                thread::spawn(move || drop_a_runtime_without_patience(delay)).join().unwrap()
            })
            .sum();
        // By chance the worker may have released it already.
        assert!(leaked > 0, "nothing was left to the kernel");
    });
}

/// Drops a runtime with a read on a worker, and says how many operations it reported as leaked.
fn drop_a_runtime_without_patience(delay: u64) -> usize {
    let leaked = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&leaked);
    let builder =
        Runtime::builder().teardown_timeout(Duration::ZERO).on_incident(move |incident| {
            let Incident::OperationsLeaked { count } = incident else { panic!("{incident}") };
            its.fetch_add(*count, Ordering::Relaxed);
        });
    let (_, alive) = drop_a_runtime_with_a_worker(builder, delay);
    assert_eq!(alive, leaked.load(Ordering::Relaxed), "what the kernel may touch is kept");
    alive
}

/// Makes a runtime and drops it with operations in flight, while peers feed and drain the
/// connections. Says how many buffers it forgot.
fn drop_a_runtime(builder: Builder, pool: &Rc<Pool>, random: &mut fastrand::Rng) -> usize {
    let runtime = builder.max_polls_per_turn(1).build().unwrap();
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

/// Lets the kernel try a read in vain until a worker goes on with it. Says whether one does: it may
/// have taken a byte before the thief and have ended the read so.
async fn drive_to_a_worker<F: Future>(mut read: Pin<&mut F>, far: &mut Peer, thief: &Peer) -> bool {
    /// It never comes sooner, and it costs time to look.
    const FEWEST: usize = 120;
    assert!(once(read.as_mut()).await.is_pending());
    for attempt in 0.. {
        yield_now().await;
        if attempt >= FEWEST && kernel_workers() > 0 {
            return true;
        }
        far.write_all(&[PAYLOAD]).unwrap();
        let mut stolen = [MaybeUninit::uninit()];
        // Not by making it non-blocking, which it would share with the stream.
        if SockRef::from(thief).recv_with_flags(&mut stolen, libc::MSG_DONTWAIT).is_err() {
            return false;
        }
    }
    unreachable!("the attempts never end")
}

/// Sends some bytes after some microseconds.
fn feed_after(microseconds: u64, mut far: Peer) -> JoinHandle<Peer> {
    thread::spawn(move || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(microseconds) {
            std::hint::spin_loop();
        }
        far.write_all(&[PAYLOAD; LARGEST]).unwrap();
        far
    })
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
