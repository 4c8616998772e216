//! What a turn of the loop costs: one system call at most, and none if there is nothing to say.

use std::future::poll_fn;
use std::io::Read;
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use annulus::net::TcpListener;
use annulus::time::{kernel_sleep, sleep};
use annulus::{Metrics, RingKind, Runtime, metrics, spawn, yield_now};
use futures_util::FutureExt;

use crate::common::conditions::{poll_once, until};
use crate::common::drops::Drops;
use crate::common::pair::{ask, echo, pair};
use crate::common::patience::limit;
use crate::common::seccomp::{When, failing};
use crate::common::skip::needs_kernel_ring;
use crate::common::watchdog::{block_on, run};

const HOUR: Duration = Duration::from_secs(3600);

/// How many system calls were made while `f` ran.
async fn enters(f: impl Future) -> u64 {
    let before = metrics().enter_calls;
    f.await;
    metrics().enter_calls - before
}

/// How often a loop enters its ring in this number of turns, while tasks keep it busy. The kernel's
/// ring shows in shared memory that nothing has completed; the portable one is entered every eighth
/// turn, to find out.
fn looks(turns: u64) -> u64 {
    if metrics().ring == RingKind::Portable { turns / 8 } else { 0 }
}

/// Waits until everything in flight has ended, but for the poll of the bell, which begins with the
/// first wait. (A sleep may be over before the loop comes to wait.)
async fn settle() -> Metrics {
    while metrics().queued > 0 || metrics().in_kernel != 1 {
        sleep(Duration::from_micros(100)).await;
    }
    metrics()
}

#[test]
fn tasks_that_only_yield_enter_the_kernel_never_or_seldom() {
    run(async {
        spawn(sleep(HOUR));
        settle().await;
        let yielding = async {
            let yielding = || async {
                for _ in 0..10_000 {
                    yield_now().await;
                }
            };
            let other = spawn(yielding());
            yielding().await;
            other.await.unwrap();
        };
        assert!(enters(yielding).await <= looks(10_000));
    });
}

#[test]
fn tasks_that_only_spawn_and_join_enter_the_kernel_never_or_seldom() {
    run(async {
        settle().await;
        let spawning = async {
            for _ in 0..1000 {
                spawn(async {}).await.unwrap();
            }
        };
        assert!(enters(spawning).await <= looks(1000));
    });
}

/// Sleeps for a while and checks that the loop does, too.
async fn assert_sleeps() {
    settle().await;
    let before = processor_time();
    // The wheel may wake a few times on the way, once for each of its levels.
    assert!(enters(sleep(Duration::from_millis(100))).await <= 4);
    let busy = processor_time() - before;
    assert!(busy < Duration::from_millis(30), "it was busy for {busy:?}");
}

/// What this thread has used.
pub(crate) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn an_idle_loop_sleeps() {
    run(assert_sleeps());
}

// What ends a sleep from another thread must not end the next one too.
#[test]
fn a_loop_that_was_woken_from_another_thread_sleeps_again() {
    run(async {
        for _ in 0..10 {
            let mut woken = false;
            poll_fn(|context| {
                if woken {
                    return Poll::Ready(());
                }
                woken = true;
                let waker = context.waker().clone();
                thread::spawn(move || waker.wake());
                Poll::Pending
            })
            .await;
        }
        assert_sleeps().await;
    });
}

#[test]
fn all_operations_of_a_turn_go_to_the_kernel_in_one_call() {
    const OPERATIONS: u64 = 500;
    run(async {
        let before = settle().await;
        for _ in 0..OPERATIONS {
            spawn(async { kernel_sleep(HOUR).await.unwrap() });
        }
        // All of them have been polled when this goes on; a turn of the loop may end in between.
        while metrics().queued + metrics().in_kernel < OPERATIONS {
            yield_now().await;
        }
        let turns = OPERATIONS.div_ceil(128);
        until(|| metrics().queued == 0).await;
        let after = metrics();
        assert_eq!(after.submitted - before.submitted, OPERATIONS);
        // One for each turn, and those of waiting until nothing was queued.
        let calls = after.enter_calls - before.enter_calls;
        assert!(calls <= turns + 2, "{calls} calls in {turns} turns");
    });
}

#[test]
fn many_connections_share_each_call() {
    const CONNECTIONS: u64 = 64;
    const ECHOES: u64 = 50;
    run(async {
        let mut pairs = Vec::new();
        for _ in 0..CONNECTIONS {
            pairs.push(pair().await);
        }
        let mut clients = Vec::new();
        let before = settle().await;
        for (mut near, far) in pairs {
            spawn(echo(far));
            clients.push(spawn(async move {
                for _ in 0..ECHOES {
                    ask(&mut near, b"message").await;
                }
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
        let after = settle().await;
        // Two sends and two receives each.
        let (calls, operations) =
            (after.enter_calls - before.enter_calls, 4 * CONNECTIONS * ECHOES);
        // Some are made without the ring.
        let made = |metrics: &Metrics| metrics.completed + metrics.inline_calls;
        assert!(made(&after) - made(&before) >= operations);
        assert!(calls <= operations / 8, "{calls} calls for {operations} operations");
    });
}

#[test]
fn a_full_submission_queue_is_submitted_before_the_turn_ends() {
    let runtime = Runtime::builder().sq_entries(8).build().unwrap();
    block_on(&runtime, async {
        let before = settle().await;
        let mut sleeping: Vec<_> = (0..100).map(|_| Box::pin(kernel_sleep(HOUR))).collect();
        assert!(sleeping.iter_mut().all(|sleep| poll_once(sleep).is_pending()));
        let now = metrics();
        assert_eq!(now.queued + now.in_kernel - before.in_kernel, 100);
        assert!(now.queued <= 8, "{now:?}");
    });
}

#[test]
fn more_operations_than_the_queues_hold_all_complete() {
    const OPERATIONS: u64 = 1000;
    let runtime = Runtime::builder().sq_entries(8).cq_entries(16).build().unwrap();
    block_on(&runtime, async {
        let before = settle().await;
        let sleep = || spawn(kernel_sleep(Duration::from_millis(1)));
        let sleeping: Vec<_> = (0..OPERATIONS).map(|_| sleep()).collect();
        for task in sleeping {
            task.await.unwrap().unwrap();
        }
        let after = settle().await;
        assert_eq!(after.completed - before.completed, OPERATIONS);
        assert!(after.enter_calls - before.enter_calls >= OPERATIONS / 8);
    });
}

#[test]
fn the_counters_add_up_and_nothing_stays_in_the_kernel_but_the_bell() {
    let runtime = Runtime::new().unwrap();
    let mut nothing = Metrics::default();
    nothing.ring = runtime.metrics().ring;
    assert_eq!(runtime.metrics(), nothing);
    block_on(&runtime, async {
        let (mut near, far) = pair().await;
        let server = spawn(echo(far));
        for _ in 0..100 {
            ask(&mut near, b"message").await;
            let now = metrics();
            assert_eq!(now.submitted, now.completed + now.in_kernel);
        }
        drop(near);
        server.await.unwrap();
        settle().await;
    });
    let end = runtime.metrics();
    assert_eq!((end.queued, end.in_kernel, end.timers), (0, 1, 0));
    assert_eq!((end.submitted, end.cq_overflows, end.accept_stalls), (end.completed + 1, 0, 0));
    assert!(end.enter_calls < end.submitted + 10, "{end:?}");
}

// The kernel may refuse an entry into it at any time: a signal came, memory is short, or its own
// backlog of completions is full. What was queued stays queued then, with little room left.
#[test]
fn an_entry_that_fails_at_times_loses_nothing() {
    if needs_kernel_ring("it lets io_uring_enter fail") {
        return;
    }
    for errno in [libc::EINTR, libc::EBUSY, libc::EAGAIN, libc::ENOMEM] {
        failing(libc::SYS_io_uring_enter, errno, When::Every(3), || {
            let (drops, runtime) = (Drops::default(), Runtime::builder().sq_entries(8));
            let runtime = runtime.cq_entries(16).build().unwrap();
            block_on(&runtime, async {
                let (mut near, far) = pair().await;
                spawn(echo(far));
                let sleep = || spawn(kernel_sleep(Duration::from_millis(1)));
                let sleeping: Vec<_> = (0..200).map(|_| sleep()).collect();
                for _ in 0..20 {
                    ask(&mut near, b"message").await;
                }
                for task in sleeping {
                    task.await.unwrap().unwrap();
                }
                for guard in (0..50).map(|_| drops.guard()) {
                    spawn(async move {
                        let _guard = guard;
                        kernel_sleep(HOUR).await.unwrap();
                    });
                }
                yield_now().await;
            });
            drop(runtime);
            assert_eq!(drops.count(), 50);
        });
    }
}

#[test]
fn a_connection_dropped_in_the_last_turn_of_block_on_is_closed() {
    for (direct, reads) in [(0, false), (0, true), (8, false), (8, true)] {
        let runtime = Runtime::builder().direct_descriptors(direct).build().unwrap();
        let mut peer = block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            if reads {
                let read = pin!(stream.read(vec![0; 8]));
                assert!(read.now_or_never().is_none());
            }
            drop(stream);
            peer
        });
        peer.set_read_timeout(Some(limit())).unwrap();
        // Unlike `read`, it goes on when the ring interrupts it.
        let end = peer.read_to_end(&mut Vec::new());
        assert!(matches!(end, Ok(0)), "{direct} direct descriptors, with a read {reads}: {end:?}");
    }
}
