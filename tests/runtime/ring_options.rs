//! Options of the ring that are off by default: they do what they say, or say that the kernel
//! cannot.

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use annulus::buf::BufResult;
use annulus::net::{TcpListener, TcpStream};
use annulus::time::sleep;
use annulus::{Builder, NapiOptions, Runtime, metrics, spawn};

use crate::common::bounded::bounded;
use crate::common::net::{connected, full_listener, pair};
use crate::common::patience::patient;
use crate::common::poll::until;
use crate::common::skip::{build_or_skip, needs_kernel_ring};
use crate::common::threads::kernel_workers;

/// Runs on a runtime with an option, unless the kernel is too old for it.
fn run_with<F: Future>(builder: Builder, future: F) -> Option<F::Output> {
    let runtime = build_or_skip(builder)?;
    Some(bounded(|| runtime.block_on(future)))
}

/// Receives from many connections, each of which sends once, a millisecond apart, and if it is to
/// be `in_turn`, when what the one before has sent was received. Says how often the kernel was
/// entered.
async fn trickle(connections: usize, in_turn: bool) -> u64 {
    let pairs: Vec<_> = (0..connections).map(|_| connected()).collect();
    let (streams, mut peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let (receiving, received) = mpsc::channel();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            let receiving = receiving.clone();
            spawn(async move {
                let length = stream.recv().await.unwrap().len();
                receiving.send(()).unwrap();
                length
            })
        })
        .collect();
    sleep(Duration::from_millis(1)).await;
    let before = metrics().enter_calls;
    let sender = thread::spawn(move || {
        for peer in &mut peers {
            peer.write_all(b"once").unwrap();
            thread::sleep(Duration::from_millis(1));
            if in_turn {
                received.recv().unwrap();
            }
        }
        (peers, received)
    });
    for task in tasks {
        assert_eq!(task.await.unwrap(), 4);
    }
    let enters = metrics().enter_calls - before;
    drop(sender.join().unwrap());
    enters
}

#[test]
fn a_wait_for_batches_enters_less_often() {
    if needs_kernel_ring("only the kernel waits for batches") {
        return;
    }
    const CONNECTIONS: usize = 60;
    let batched = Runtime::builder().min_wait(1000, Duration::from_millis(300));
    let Some(with) = run_with(batched, trickle(CONNECTIONS, false)) else { return };
    // Where this thread is starved, one enter would be enough for many that do not wait.
    let without = run_with(Runtime::builder(), trickle(CONNECTIONS, true)).unwrap();
    assert!(with * 2 < without, "{with} with patience, {without} without");
}

#[test]
fn a_full_batch_ends_the_wait_and_so_does_patience() {
    let batched =
        |completions| Runtime::builder().min_wait(completions, patient(Duration::from_secs(30)));
    // The loop waits for two receives, and both come.
    let both = async {
        let ((mut first, mut first_peer), (mut second, mut second_peer)) =
            (connected(), connected());
        let task = spawn(async move { first.recv().await.unwrap().len() });
        let other = spawn(async move { second.recv().await.unwrap().len() });
        first_peer.write_all(b"both").unwrap();
        second_peer.write_all(b"both").unwrap();
        (task.await.unwrap(), other.await.unwrap())
    };
    let began = Instant::now();
    let Some(received) = run_with(batched(2), both) else { return };
    assert_eq!(received, (4, 4));
    assert!(began.elapsed() < patient(Duration::from_secs(20)));
    let brief = Runtime::builder().min_wait(1000, Duration::from_millis(20));
    let received = run_with(brief, trickle(1, false));
    assert!(received.is_some());
}

/// The kernel takes a patience of zero microseconds for one without end.
#[test]
fn a_wait_for_a_batch_with_hardly_any_patience_ends_with_one_completion() {
    for nanos in [0, 1, 999, 1000] {
        let hasty = Runtime::builder().min_wait(8, Duration::from_nanos(nanos));
        run_with(hasty, async {
            let (mut stream, mut peer) = connected();
            peer.write_all(b"alone").unwrap();
            assert_eq!(&*stream.recv().await.unwrap(), b"alone", "{nanos} ns");
        });
    }
}

#[test]
fn the_end_of_a_runtime_that_waits_for_batches_waits_for_none() {
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let patient = Runtime::builder().min_wait(1000, Duration::from_secs(30));
        let Some(runtime) = build_or_skip(patient) else { return };
        runtime.block_on(sleep(Duration::from_millis(1)));
        let began = Instant::now();
        drop(runtime);
        fastest = fastest.min(began.elapsed());
    }
    // A wait for a batch would last for a whole round of 50 ms, each time.
    assert!(fastest < Duration::from_millis(40), "{fastest:?}");
}

/// A submission thread takes an SQE as soon as it sees it, and so must see the limit at the same
/// time.
#[test]
fn with_a_submission_thread_every_connect_keeps_its_limit() {
    if needs_kernel_ring("only the kernel has a submission thread") {
        return;
    }
    const AT_ONCE: usize = 400;
    let threaded = Runtime::builder().sq_entries(4096);
    let threaded = threaded.sqpoll(Duration::from_millis(500));
    run_with(threaded, async {
        let (listener, _filled) = full_listener();
        let address = listener.local_addr().unwrap();
        for _ in 0..10 {
            let connects: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    let limit = Duration::from_millis(10);
                    spawn(TcpStream::connect_timeout(address, limit))
                })
                .collect();
            for connect in connects {
                // Without its limit it goes on for minutes, beyond what this test may take.
                let error = connect.await.unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            }
        }
    });
}

#[test]
fn timers_are_punctual_while_batches_are_waited_for() {
    let batched = Runtime::builder().min_wait(1000, patient(Duration::from_secs(30)));
    let began = Instant::now();
    run_with(batched, sleep(Duration::from_millis(5)));
    assert!(began.elapsed() < patient(Duration::from_secs(20)));
}

/// With a queue so short that it is often full, and a thread that often falls asleep.
#[test]
fn a_thread_of_the_kernels_may_take_what_is_queued() {
    if needs_kernel_ring("only the kernel has a submission thread") {
        return;
    }
    let threaded = || Runtime::builder().sqpoll(Duration::from_millis(1)).sq_entries(2);
    run_with(threaded().direct_descriptors(40), async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..50)
            .map(|n: u8| {
                spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    for round in 0..50 {
                        stream.write_all(vec![n; 100]).await.0.unwrap();
                        let BufResult(result, back) = stream.read_exact(vec![0; 100]).await;
                        result.unwrap();
                        assert!(back.iter().all(|&byte| byte == n));
                        if round % 16 == 0 {
                            // Made by an SQE that a task awaits.
                            stream.set_nodelay(true).unwrap();
                            sleep(Duration::from_millis(2)).await;
                        }
                    }
                })
            })
            .collect();
        for _ in 0..50 {
            let (mut stream, _) = listener.accept().await.unwrap();
            spawn(async move {
                loop {
                    let lease = stream.recv().await.unwrap();
                    if lease.is_empty() {
                        break;
                    }
                    stream.write_all(lease).await.0.unwrap();
                }
            });
        }
        for client in clients {
            client.await.unwrap();
        }
        let metrics = metrics();
        assert_eq!(metrics.in_kernel, metrics.submitted - metrics.completed);
    });
    // A runtime that ends with receives in flight, and one that only sleeps.
    run_with(threaded(), async {
        for _ in 0..10 {
            let (mut stream, peer) = connected();
            spawn(async move { (stream.recv().await, peer) });
        }
        sleep(Duration::from_millis(5)).await;
    });
}

#[test]
fn a_ring_that_looks_for_packets_itself_serves_as_any_other() {
    if needs_kernel_ring("only the kernel polls a network device") {
        return;
    }
    for prefer in [false, true] {
        let polling = Runtime::builder()
            .napi_busy_poll(NapiOptions::new(Duration::from_micros(50)).prefer(prefer));
        run_with(polling, async {
            let (mut stream, mut peer) = connected();
            for _ in 0..100 {
                peer.write_all(b"ping").unwrap();
                let lease = stream.recv().await.unwrap();
                stream.write_all(lease).await.0.unwrap();
                let mut back = [0; 4];
                peer.read_exact(&mut back).unwrap();
                assert_eq!(&back, b"ping");
            }
        });
    }
}

#[test]
#[should_panic(expected = "`min_wait` for no completion")]
fn a_wait_for_nothing_is_refused() {
    let _ = Runtime::builder().min_wait(0, Duration::ZERO);
}

/// Writes until neither end of a connection has room.
fn fill(mut near: &net::TcpStream) {
    near.set_nonblocking(true).unwrap();
    let mut refusals = 0;
    // The far end may make room once or twice.
    while refusals < 50 {
        match near.write(&[1; 64 << 10]) {
            Ok(0) => unreachable!("a full socket refuses"),
            Ok(_) => refusals = 0,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refusals += 1;
                thread::yield_now();
            }
        }
    }
    near.set_nonblocking(false).unwrap();
}

/// A close that lingers blocks a thread of the kernel's for as long as the peer does not read.
#[test]
fn no_more_kernel_threads_block_than_the_bound_and_what_waits_for_one_comes_to_its_end() {
    if needs_kernel_ring("it counts the kernel's threads") {
        return;
    }
    const BOUND: usize = 3;
    run_with(Runtime::builder().max_kernel_workers(BOUND as u32), async {
        let mut peers = Vec::new();
        for _ in 0..4 * BOUND {
            let (near, peer) = pair();
            fill(&near);
            let stream = TcpStream::from_std(near);
            stream.set_linger(Some(Duration::from_secs(3600))).unwrap();
            drop(stream);
            peers.push(peer);
        }
        let mut most = 0;
        let mut look = || {
            most = most.max(kernel_workers());
            most
        };
        until(|| look() >= BOUND).await;
        // The others would begin now, if they could.
        for _ in 0..20 {
            sleep(Duration::from_millis(5)).await;
            look();
        }
        // All at once: any of them may be one whose close has begun.
        let readers = peers.into_iter().map(|mut peer| {
            thread::spawn(move || while peer.read(&mut [0; 64 << 10]).unwrap() > 0 {})
        });
        let readers: Vec<_> = readers.collect();
        until(|| look() > 0 && readers.iter().all(thread::JoinHandle::is_finished)).await;
        assert_eq!(most, BOUND);
    });
}

#[test]
fn more_kernel_workers_than_the_kernel_has_numbers_for_are_as_many_as_it_allows() {
    // Where one is possible: otherwise the kernel has no bound.
    if build_or_skip(Runtime::builder().max_kernel_workers(1)).is_some() {
        Runtime::builder().max_kernel_workers(u32::MAX).build().unwrap();
    }
}

#[test]
#[should_panic(expected = "`max_kernel_workers` of zero")]
fn no_kernel_threads_are_refused() {
    let _ = Runtime::builder().max_kernel_workers(0);
}
