//! Promise 6: what runs out is waited for, or said. Nothing is lost, and nothing spins.
//!
//! Tests that lower a limit of the process do so in a child, which runs the same test in a role.

use std::io::{self, Write};
use std::net::TcpStream as Peer;
use std::thread;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::net::{TcpListener, TcpStream};
use annulus::time::{kernel_sleep, timeout};
use annulus::{Runtime, SetupError, metrics, spawn};

use crate::common::bounded::bounded;
use crate::common::child::isolated;
use crate::common::descriptors::open;
use crate::common::pair::echo;
use crate::common::patience::patient;
use crate::common::random::seeded;
use crate::common::skip::needs_kernel_ring;
use crate::this_test;

/// Limits a resource of this process, for good.
fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the call reads one `rlimit`.
    let result = unsafe { libc::setrlimit(resource, &limit) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// How much processor time this process has used.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The race: the kernel ends a multishot accept when descriptors have run out, and ends it again at
/// once whenever it is armed, for as long as they have.
#[test]
fn a_server_out_of_descriptors_pauses_and_then_serves_everyone() {
    const CLIENTS: usize = 30;
    const LEFT: u64 = 5;
    isolated(this_test!(), || {
        annulus::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            // They wait in the backlog while there are descriptors, which are the clients' then.
            let mut clients: Vec<_> =
                (0..CLIENTS).map(|_| Peer::connect(address).unwrap()).collect();
            limit(libc::RLIMIT_NOFILE, open() as u64 + LEFT);
            let mut served = Vec::new();
            while metrics().accept_stalls == 0 {
                let accepted = timeout(Duration::from_millis(1), listener.accept()).await;
                served.extend(accepted.map(|connection| connection.unwrap().0));
            }
            assert!(!served.is_empty() && served.len() < CLIENTS);
            // Now no descriptor is left. The listener waits, and tries now and then.
            let (used, enters) = (processor_time(), metrics().enter_calls);
            let accepted = timeout(Duration::from_millis(300), listener.accept()).await;
            assert!(accepted.is_err(), "no descriptor is left");
            assert!(processor_time() - used < Duration::from_millis(100), "it spins");
            assert!(metrics().enter_calls - enters < 100, "it spins");
            let stalls = metrics().accept_stalls;
            assert!(stalls > 1, "it has tried again");
            // As clients leave, the next ones are served.
            while let Some(mut client) = clients.pop() {
                client.write_all(b"x").unwrap();
                drop(client);
            }
            while served.len() < CLIENTS {
                served.push(listener.accept().await.unwrap().0);
            }
            assert_eq!(metrics().accept_stalls, stalls, "there was nothing to wait for");
            for mut stream in served {
                let BufResult(result, _) = stream.read_exact(Box::new([0; 1])).await;
                result.expect("each client has sent a byte");
            }
        })
        .unwrap();
    });
}

#[test]
fn a_ring_of_four_entries_carries_a_hundred_connections() {
    const CONNECTIONS: usize = 100;
    const ROUNDS: usize = 20;
    bounded(|| {
        let mut random = seeded();
        let runtime = Runtime::builder().sq_entries(4).cq_entries(8).build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            spawn(async move {
                loop {
                    spawn(echo(listener.accept().await.unwrap().0));
                }
            });
            let clients = (0..CONNECTIONS).map(|_| {
                let mut random = random.fork();
                spawn(async move {
                    // Two linked SQEs.
                    let connected =
                        TcpStream::connect_timeout(address, patient(Duration::from_secs(30)));
                    let mut stream = connected.await.unwrap();
                    for _ in 0..ROUNDS {
                        let sent: Vec<u8> = (0..256).map(|_| random.u8(..)).collect();
                        let BufResult(result, sent) = stream.write_all(sent).await;
                        result.unwrap();
                        assert_eq!(read_impatiently(&mut stream, 256, &mut random).await, sent);
                    }
                })
            });
            for client in clients.collect::<Vec<_>>() {
                client.await.unwrap();
            }
        });
        let metrics = runtime.metrics();
        assert!(metrics.submitted > (CONNECTIONS * ROUNDS) as u64);
        drop(runtime);
    });
}

/// Reads `length` bytes, by reads that are given up after some microseconds.
async fn read_impatiently(
    stream: &mut TcpStream,
    length: usize,
    random: &mut fastrand::Rng,
) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < length {
        let limit = Duration::from_micros(random.u64(0..500));
        let buffer = Vec::with_capacity(random.usize(1..=length));
        if let Ok(BufResult(result, bytes)) = timeout(limit, stream.read(buffer)).await {
            assert_ne!(result.unwrap(), 0, "the stream ended early");
            received.extend(bytes);
        }
    }
    received
}

#[test]
fn a_completion_queue_that_overflows_loses_nothing() {
    const BURST: usize = 500;
    if needs_kernel_ring("only the kernel's completion queue has a size") {
        return;
    }
    bounded(|| {
        let runtime = Runtime::builder().sq_entries(2).cq_entries(2).build().unwrap();
        runtime.block_on(async {
            let sleeps: Vec<_> =
                (0..BURST).map(|_| spawn(kernel_sleep(Duration::from_millis(20)))).collect();
            annulus::yield_now().await;
            // They all end while the loop is kept from reaping.
            thread::sleep(Duration::from_millis(30));
            for sleep in sleeps {
                sleep.await.unwrap().unwrap();
            }
        });
        let metrics = runtime.metrics();
        assert!(metrics.cq_overflows > 0, "{metrics:?}");
        assert!(metrics.completed >= BURST as u64, "{metrics:?}");
    });
}

#[test]
fn a_runtime_short_of_locked_memory_is_smaller_or_says_so() {
    if needs_kernel_ring("only the kernel's rings are charged as locked memory") {
        return;
    }
    isolated(this_test!(), || {
        become_unprivileged();
        limit(libc::RLIMIT_MEMLOCK, 64 << 10);
        match Runtime::new() {
            Ok(runtime) => works(&runtime),
            Err(error) => says_locked_memory(&error, 64 << 10),
        }
    });
}

#[test]
fn a_runtime_with_some_locked_memory_is_smaller_and_works() {
    if needs_kernel_ring("only the kernel's rings are charged as locked memory") {
        return;
    }
    isolated(this_test!(), || {
        become_unprivileged();
        // Not enough for the default sizes, where rings are charged, but for smaller ones.
        limit(libc::RLIMIT_MEMLOCK, 160 << 10);
        let mut runtimes = vec![Runtime::new().unwrap()];
        works(&runtimes[0]);
        // More and more of them, until there is no room for the smallest.
        while runtimes.len() < 50 {
            match Runtime::new() {
                Ok(runtime) => runtimes.push(runtime),
                Err(error) => {
                    says_locked_memory(&error, 160 << 10);
                    break;
                }
            }
        }
        runtimes.iter().for_each(works);
    });
}

/// Locked memory is charged to a user, and not to root: becomes one that no other process is.
fn become_unprivileged() {
    // SAFETY: the calls take no pointers.
    unsafe {
        if libc::geteuid() == 0 {
            let user = 1_000_000 + libc::getpid().unsigned_abs();
            assert_eq!(libc::setgid(user), 0);
            assert_eq!(libc::setuid(user), 0);
        }
    }
}

fn works(runtime: &Runtime) {
    runtime.block_on(async { kernel_sleep(Duration::from_millis(1)).await.unwrap() });
}

#[track_caller]
fn says_locked_memory(error: &SetupError, bytes: u64) {
    assert!(matches!(error, SetupError::LockedMemory { limit: Some(limit) } if *limit == bytes));
    let text = error.to_string();
    assert!(
        text.contains("ulimit -l") && text.contains(&format!("{} KiB", bytes / 1024)),
        "{text}"
    );
}
