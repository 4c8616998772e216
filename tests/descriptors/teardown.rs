//! Dropping a runtime ends all that it does, at whatever moment: nothing leaks, nothing hangs, and
//! what outlives it says so when it is used.

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use std::{mem, thread};

use annulus::buf::BufResult;
use annulus::net::IntoStd;
use annulus::net::{TcpListener, TcpStream};
use annulus::task::JoinHandle;
use annulus::time::{kernel_sleep, sleep, timeout};
use annulus::{Runtime, metrics, raw_os_error, spawn, yield_now};

use crate::common::bounded::bounded;
use crate::common::child::{self, isolated};
use crate::common::descriptors::{alone, assert_back_to, counting, open};
use crate::common::drops::{Drops, OnDrop};
use crate::common::incidents::Incidents;
use crate::common::memory::Pool;
use crate::common::net::{connected, full_listener, pair};
use crate::common::patience::patient;
use crate::common::poll::{once, times, until, until_bell_is_polled};
use crate::this_test;

const HOUR: Duration = Duration::from_secs(3600);

/// Tasks that are in the middle of everything that there is to wait for.
fn spawn_everything(full: SocketAddr) -> Vec<JoinHandle<()>> {
    let (mut reading, far) = connected();
    let (mut writing, near) = connected();
    vec![
        spawn(async move { drop((reading.read(Vec::with_capacity(64)).await, far)) }),
        spawn(async move { drop((writing.write_all(vec![1; 8 << 20]).await, near)) }),
        spawn(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            drop(listener.accept().await);
        }),
        spawn(async move { drop(TcpStream::connect(full).await) }),
        spawn(async move { drop(TcpStream::connect_timeout(full, HOUR).await) }),
        spawn(async { kernel_sleep(HOUR).await.unwrap() }),
        spawn(sleep(HOUR)),
        spawn(async {
            let held = connected();
            pending::<()>().await;
            drop(held);
        }),
        spawn(async { drop(timeout(HOUR, spawn(pending::<()>())).await) }),
    ]
}

/// How many of those operations are the kernel's. The limit of a connect is one more.
const IN_KERNEL: u64 = 7;

#[test]
fn a_runtime_dropped_with_everything_in_flight_leaves_nothing() {
    counting(|| {
        let (full, _filled) = full_listener();
        let full = full.local_addr().unwrap();
        let incidents = Incidents::default();
        let (before, mut fastest) = (open(), Duration::MAX);
        for _ in 0..20 {
            let runtime = incidents.runtime();
            runtime.block_on(async {
                spawn_everything(full);
                until(|| metrics().in_kernel >= IN_KERNEL).await;
            });
            assert!(open() > before);
            let start = Instant::now();
            drop(runtime);
            fastest = fastest.min(start.elapsed());
            assert_back_to(before);
        }
        assert!(fastest < patient(Duration::from_secs(1)), "it waited for what never comes");
        // A runtime that waits for as long as it may reports it.
        assert_eq!(incidents.count(), 0, "{:?}", incidents.take());
    });
}

#[test]
fn a_runtime_dropped_as_soon_as_everything_was_submitted_leaves_nothing() {
    counting(|| {
        let (full, _filled) = full_listener();
        let full = full.local_addr().unwrap();
        let incidents = Incidents::default();
        let before = open();
        let runtime = incidents.runtime();
        runtime.block_on(async {
            spawn_everything(full);
            // Each is polled once, but the kernel is not entered.
            yield_now().await;
            assert_eq!(metrics().submitted, 0);
            assert!(metrics().queued >= IN_KERNEL);
        });
        assert!(runtime.metrics().submitted >= IN_KERNEL, "the end of `block_on` submits");
        drop(runtime);
        assert_back_to(before);
        assert_eq!(incidents.count(), 0, "{:?}", incidents.take());
    });
}

/// What is not sent yet is sent by the kernel afterwards.
#[test]
fn a_runtime_that_is_dropped_does_not_linger() {
    counting(|| {
        let runtime = Runtime::new().unwrap();
        let far = runtime.block_on(async {
            let (mut stream, far) = connected();
            stream.set_linger(Some(Duration::from_secs(30))).unwrap();
            let fill = stream.write_all(vec![1; 32 << 20]);
            assert!(timeout(Duration::from_millis(50), fill).await.is_err());
            far
        });
        let start = Instant::now();
        drop(runtime);
        assert!(start.elapsed() < patient(Duration::from_secs(10)), "{:?}", start.elapsed());
        drop(far);
    });
}

#[test]
fn any_teardown_limit_will_do() {
    counting(|| {
        let (full, _filled) = full_listener();
        let full = full.local_addr().unwrap();
        let runtime = Runtime::builder().teardown_timeout(Duration::MAX).build().unwrap();
        runtime.block_on(async {
            spawn_everything(full);
            until(|| metrics().in_kernel >= IN_KERNEL).await;
        });
        drop(runtime);
    });
}

/// It moves to the runtime that polls it next.
#[test]
fn a_sleep_that_outlives_its_runtime_ends_all_the_same() {
    counting(|| {
        let first = Runtime::new().unwrap();
        let mut sleep = Box::pin(sleep(Duration::from_millis(10)));
        assert!(first.block_on(times(1, sleep.as_mut())).is_none());
        drop(first);
        annulus::run(sleep).unwrap();
    });
}

#[test]
fn handles_that_outlive_the_runtime_say_cancelled() {
    counting(|| {
        let (full, _filled) = full_listener();
        let full = full.local_addr().unwrap();
        let runtime = Runtime::new().unwrap();
        let handles = runtime.block_on(async {
            let handles = spawn_everything(full);
            until(|| metrics().in_kernel >= IN_KERNEL).await;
            handles
        });
        drop(runtime);
        annulus::run(async {
            for handle in handles {
                assert!(handle.is_finished());
                assert!(handle.await.unwrap_err().is_cancelled());
            }
        })
        .unwrap();
    });
}

#[test]
fn a_destructor_that_runs_in_the_teardown_can_spawn_and_join_and_use_the_net() {
    counting(|| {
        let before = open();
        let incidents = Incidents::default();
        let runtime = incidents.runtime();
        let drops = Drops::default();
        runtime.block_on(async {
            let (mut stream, far) = connected();
            let other = spawn(pending::<()>());
            let guard = drops.guard();
            let mut other = Some(other);
            let use_everything = OnDrop(move || {
                let _ = (&guard, &far);
                // A task that is spawned now is cancelled before its first poll.
                let spawned = spawn(async { unreachable!("it never runs") });
                assert!(spawned.is_finished());
                assert!(is_cancelled(spawned));
                // One that was there before may be torn down already, or not yet.
                drop(other.take());
                // An operation may be begun; it is dropped in flight, as any other is now.
                let mut context = Context::from_waker(Waker::noop());
                let address = stream.peer_addr().unwrap();
                let _ = pin!(stream.read(Vec::with_capacity(1))).poll(&mut context);
                let _ = pin!(TcpStream::connect(address)).poll(&mut context);
                let _ = pin!(sleep(HOUR)).poll(&mut context);
            });
            spawn(async move {
                pending::<()>().await;
                drop(use_everything);
            });
            yield_now().await;
        });
        drop(runtime);
        assert_eq!(drops.count(), 1);
        assert_eq!(incidents.take_messages(), [""; 0]);
        assert_back_to(before);
    });
}

/// The output of a future that has to be ready at once.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits, but nothing would wake it"),
    }
}

fn is_cancelled<T>(handle: JoinHandle<T>) -> bool {
    ready(handle.into_future()).is_err_and(|error| error.is_cancelled())
}

#[test]
fn streams_that_outlive_the_runtime_fail_and_can_still_be_taken_over() {
    counting(|| {
        let before = open();
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        let (mut stream, mut far, listener) = runtime.block_on(async {
            let (mut stream, mut far) = connected();
            // A read that is dropped after the kernel has received for it.
            far.write_all(b"unread").unwrap();
            assert!(times(1, stream.read(Vec::with_capacity(64))).await.is_none());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            assert!(times(2, listener.accept()).await.is_none());
            (stream, far, listener)
        });
        drop(runtime);
        annulus::run(async {
            let BufResult(result, _) = stream.write_all("never sent").await;
            assert_eq!(raw_os_error(&result.unwrap_err()), Some(libc::ECANCELED));
            let accepted = listener.accept().await;
            assert_eq!(raw_os_error(&accepted.unwrap_err()), Some(libc::ECANCELED));
            listener.close().await;
            // What was received is there, and then nothing more can be.
            let BufResult(result, buffer) = stream.peek(Vec::with_capacity(2)).await;
            assert_eq!((result.unwrap(), &buffer[..]), (2, &b"un"[..]));
            let BufResult(result, buffer) = stream.read(Vec::with_capacity(2)).await;
            assert_eq!((result.unwrap(), &buffer[..]), (2, &b"un"[..]));
            let IntoStd { stream, unread, .. } = stream.into_std().await.unwrap();
            assert_eq!(unread, b"read");
            // The connection itself has not been touched.
            (&stream).write_all(b"sent").unwrap();
            let mut received = [0; 4];
            far.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"sent");
            far.shutdown(Shutdown::Both).unwrap();
        })
        .unwrap();
        drop(far);
        assert_back_to(before);
    });
}

#[test]
fn a_read_that_outlives_the_runtime_ends() {
    counting(|| {
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        let (mut stream, _far) = runtime.block_on(async { connected() });
        let mut read = Box::pin(stream.read(Vec::with_capacity(64)));
        runtime.block_on(async {
            assert!(once(read.as_mut()).await.is_pending());
            until(|| metrics().in_kernel == 1).await;
        });
        drop(runtime);
        let BufResult(result, buffer) = ready(read);
        assert_eq!(raw_os_error(&result.unwrap_err()), Some(libc::ECANCELED));
        assert_eq!(buffer.capacity(), 64, "the buffer comes back");
    });
}

#[test]
fn a_panic_in_block_on_leaves_a_runtime_that_works_and_tears_down() {
    counting(|| {
        let (full, _filled) = full_listener();
        let full = full.local_addr().unwrap();
        let incidents = Incidents::default();
        let before = open();
        let runtime = incidents.runtime();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let (mut stream, _far) = connected();
                let mut read = Box::pin(stream.read(Vec::with_capacity(64)));
                assert!(once(read.as_mut()).await.is_pending());
                spawn_everything(full);
                until(|| metrics().in_kernel >= IN_KERNEL).await;
                panic!("in the middle of everything");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(runtime.block_on(async { spawn(async { 5 }).await.unwrap() }), 5);
        drop(runtime);
        assert_back_to(before);
        assert_eq!(incidents.take_messages(), [""; 0]);
    });
}

#[test]
fn a_runtime_can_be_dropped_inside_another() {
    counting(|| {
        let (full, _filled) = full_listener();
        let full = full.local_addr().unwrap();
        let before = open();
        annulus::run(async {
            let inner = Runtime::new().unwrap();
            let ends_with_inner = inner.spawn(pending::<()>());
            let (mut stream, mut far) = connected();
            let outer_before = metrics().submitted;
            drop(inner);
            assert!(is_cancelled(ends_with_inner));
            // The outer one is this thread's again.
            far.write_all(b"x").unwrap();
            assert_eq!(stream.read(vec![0]).await.0.unwrap(), 1);
            assert!(metrics().submitted > outer_before);
            spawn_everything(full);
        })
        .unwrap();
        assert_back_to(before);
    });
}

/// Leaked, a runtime goes on existing: also what its operations point to, also after its thread.
#[test]
fn a_leaked_runtime_leaves_freed_memory_alone() {
    // What it leaks is not this process's, but the child's pipes are.
    counting(|| {
        isolated(this_test!(), || {
            thread::spawn(|| {
                let pool = Pool::new(16);
                let (near, mut far) = pair();
                let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
                runtime.block_on(async {
                    let mut stream = TcpStream::from_std(near);
                    let buffer = pool.take(64);
                    spawn(async move { drop(stream.read(buffer).await) });
                    until(|| metrics().in_kernel == 1).await;
                });
                mem::forget(runtime);
                far.write_all(b"late").unwrap();
                pool.verify();
                assert_eq!(pool.alive(), 1);
                // The pool itself is kept by the buffer.
            })
            .join()
            .unwrap();
        });
    });
}

#[test]
fn wakers_that_outlive_the_runtime_do_no_harm_on_any_thread() {
    counting(|| {
        let before = open();
        for _ in 0..200 {
            let drops = Drops::default();
            let stopping = Arc::new(AtomicBool::new(false));
            let runtime = Runtime::new().unwrap();
            let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
            runtime.block_on(async {
                for _ in 0..8 {
                    let (guard, wakers) = (drops.guard(), Rc::clone(&wakers));
                    spawn(async move {
                        let _guard = guard;
                        poll_fn(|context| {
                            wakers.borrow_mut().push(context.waker().clone());
                            Poll::<()>::Pending
                        })
                        .await;
                    });
                }
                yield_now().await;
            });
            let foreign = wakers.borrow().clone();
            let stop = Arc::clone(&stopping);
            let waking = thread::spawn(move || {
                // Before, while and after the runtime ends.
                while !stop.load(Ordering::Relaxed) {
                    foreign.iter().for_each(Waker::wake_by_ref);
                }
                foreign.into_iter().for_each(Waker::wake);
            });
            drop(runtime);
            assert_eq!(drops.count(), 8, "the futures end here, and not with their last waker");
            wakers.borrow().iter().for_each(Waker::wake_by_ref);
            stopping.store(true, Ordering::Relaxed);
            waking.join().unwrap();
            wakers.take().into_iter().for_each(Waker::wake);
        }
        // The last waker has released the bell of the runtime.
        assert_back_to(before);
    });
}

/// The destructors of a thread's variables run in an order that no program chooses.
#[test]
fn a_runtime_in_a_thread_local_variable_tears_down_with_its_thread() {
    let _alone = alone();
    thread_local! {
        static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }
    if child::role().is_none() {
        let output = child::command(this_test!(), "child").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    bounded(|| {
        let (full, _filled) = full_listener();
        let full = full.local_addr().unwrap();
        let before = open();
        for variable_first in [true, false] {
            let work = move |runtime: &Runtime| {
                runtime.block_on(async {
                    spawn_everything(full);
                    until(|| metrics().in_kernel >= IN_KERNEL).await;
                });
            };
            let thread = thread::spawn(move || {
                if variable_first {
                    RUNTIME.set(Some(Runtime::new().unwrap()));
                    RUNTIME.with_borrow(|runtime| work(runtime.as_ref().unwrap()));
                } else {
                    let runtime = Runtime::new().unwrap();
                    work(&runtime);
                    RUNTIME.set(Some(runtime));
                }
            });
            thread.join().unwrap();
            assert_back_to(before);
        }
    });
}

#[test]
fn an_idle_runtime_without_patience_leaks_nothing_and_reports_nothing() {
    let _alone = alone();
    for threaded in [false, true] {
        let incidents = Incidents::default();
        let its = incidents.clone();
        let builder = Runtime::builder().teardown_timeout(Duration::ZERO);
        let mut builder = builder.on_incident(move |incident| its.report(incident));
        if threaded {
            builder = builder.sqpoll(Duration::from_millis(1));
        }
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            let (mut stream, mut peer) = connected();
            peer.write_all(b"once").unwrap();
            assert_eq!(&*stream.recv().await.unwrap(), b"once");
            until_bell_is_polled().await;
        });
        drop(runtime);
        assert_eq!(incidents.take_messages(), [""; 0], "with a thread: {threaded}");
    }
}

/// The kernel cancels it both ways.
#[test]
fn a_limited_connect_that_its_runtimes_end_has_cut_does_not_say_that_it_timed_out() {
    counting(|| {
        let (listener, _filler) = full_listener();
        let address = listener.local_addr().unwrap();
        let runtime = Runtime::new().unwrap();
        let mut connecting = Box::pin(TcpStream::connect_timeout(address, HOUR));
        runtime.block_on(async {
            assert!(times(2, connecting.as_mut()).await.is_none());
        });
        drop(runtime);
        let error = Runtime::new().unwrap().block_on(connecting).unwrap_err();
        assert_eq!(raw_os_error(&error), Some(libc::ECANCELED), "{error}");
    });
}
