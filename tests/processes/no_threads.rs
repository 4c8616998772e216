//! When the system starts no thread, as in a container at its limit of processes, the caller who
//! needs one gets an error. Each test runs in a process of its own, since an idle thread of the
//! process's pool would do.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use annulus::blocking::{ThreadError, ThreadPool, to_thread};
use annulus::fs::File;
use annulus::net::{
    StreamReader, StreamWriter, TcpListener, TcpStream, UnixStream, lookup, reverse_lookup,
    start_server,
};
use annulus::sync::Semaphore;
use annulus::{Incident, yield_now};
use futures_util::FutureExt;

use crate::common::child::isolated;
use crate::common::descriptors::open;
use crate::common::incidents::Incidents;
use crate::common::net::accepted;
use crate::common::poll::{once, times, until};
use crate::common::seccomp::without_threads;
use crate::common::skip::{needs_kernel_ring, skip};
use crate::this_test;

fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[test]
fn a_closure_without_a_thread_gives_an_error_and_has_not_run() {
    isolated(this_test!(), || {
        without_threads(|| {
            annulus::run(async {
                for pool in [None, Some(ThreadPool::new(3, Duration::from_secs(1)))] {
                    let closure = || unreachable!("there is no thread for it");
                    let handle = match &pool {
                        None => to_thread(closure),
                        Some(pool) => pool.spawn(closure),
                    };
                    assert!(handle.is_finished());
                    let error: ThreadError = handle.await.map(|never: ()| never).unwrap_err();
                    assert!(matches!(&error, ThreadError::NotStarted(error) if is_refused(error)));
                    assert!(is_refused(&error.into()));
                    assert!(pool.is_none_or(|pool| pool.threads() == 0));
                }
            })
            .unwrap();
        });
    });
}

#[test]
fn a_detached_closure_without_a_thread_is_an_incident() {
    isolated(this_test!(), || {
        let incidents = Incidents::default();
        let its = incidents.clone();
        without_threads(move || {
            its.runtime().block_on(async { drop(to_thread(|| ())) });
        });
        let incidents = incidents.take();
        let [Incident::ThreadNotStarted { spawned_at, message }] = &incidents[..] else {
            panic!("{incidents:?}")
        };
        assert_eq!(spawned_at.file(), file!());
        assert!(message.contains("os error"), "{message}");
    });
}

/// A thread closes what may take long to be closed: a file, what a peer has passed, and a
/// connection that lingers.
#[test]
fn what_a_thread_would_close_is_closed_without_threads_too() {
    isolated(this_test!(), || {
        without_threads(|| {
            annulus::run(async {
                let before = open();
                let file = std::fs::File::open("/proc/self/comm").unwrap();
                let passed = vec![OwnedFd::from(file.try_clone().unwrap())];
                let (mut near, mut far) = UnixStream::pair().unwrap();
                let mut receiving = Box::pin(far.recv_with_fds(Vec::with_capacity(1), 1));
                assert!(once(receiving.as_mut()).await.is_pending());
                let unreceived = open();
                let sent = near.send_with_fds("x", passed).await;
                until(|| open() > unreceived).await;
                drop(receiving);
                drop((sent, near, far));
                File::from_std(file).close().await.unwrap();
                let (stream, peer) = accepted().await;
                stream.set_linger(Some(Duration::from_secs(9))).unwrap();
                drop((stream, peer));
                until(|| open() == before).await;
            })
            .unwrap();
        });
    });
}

/// The task may not take the error of the first, which is dropped.
#[test]
fn a_lock_without_a_thread_that_is_dropped_early_leaves_no_wait_for_the_next_one() {
    isolated(this_test!(), || {
        without_threads(|| {
            annulus::run(async {
                let file = File::from_std(std::fs::File::open("/proc/self/comm").unwrap());
                let semaphore = Semaphore::new(1);
                for spent in 120..=132 {
                    yield_now().await;
                    for _ in 0..spent {
                        drop(semaphore.acquire().await.unwrap());
                    }
                    drop(times(1, file.lock()).await);
                    assert!(is_refused(&file.lock().await.unwrap_err()), "after {spent} units");
                }
            })
            .unwrap();
        });
    });
}

#[test]
fn names_cannot_be_looked_up_without_threads_and_that_is_an_error() {
    isolated(this_test!(), || {
        without_threads(|| {
            annulus::run(async {
                let refused = |name: &str, error: io::Error| {
                    assert!(is_refused(&error), "{name}: {error:?}");
                };
                // What is not in /etc/hosts.
                refused("lookup", lookup("name.invalid:80").await.unwrap_err());
                let reversed = reverse_lookup(Ipv4Addr::new(192, 0, 2, 1)).await;
                refused("reverse_lookup", reversed.unwrap_err());
                refused("connect", TcpStream::connect("name.invalid:80").await.unwrap_err());
                refused("bind", TcpListener::bind("name.invalid:0").await.unwrap_err());
                let handler = async |_: StreamReader, _: StreamWriter| {};
                let server = start_server(handler, "name.invalid:0").boxed_local();
                refused("start_server", server.await.unwrap_err());
            })
            .unwrap();
        });
    });
}

#[test]
fn names_of_the_file_of_hosts_are_looked_up_without_threads() {
    if needs_kernel_ring("the portable ring reads files by threads") {
        return;
    }
    let nsswitch = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let has = |text: &str, first: &str, second: &str| {
        let mut lines = text.lines().map(str::split_whitespace);
        lines.any(|mut words| words.next() == Some(first) && words.next() == Some(second))
    };
    if !has(&nsswitch, "hosts:", "files") || !has(&hosts, "127.0.0.1", "localhost") {
        return skip("this machine has no /etc/hosts with localhost that comes first");
    }
    isolated(this_test!(), || {
        without_threads(|| {
            annulus::run(async {
                let found = lookup("LocalHost:80").await.unwrap();
                assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
                assert_eq!(reverse_lookup(Ipv4Addr::LOCALHOST).await.unwrap(), "localhost");
            })
            .unwrap();
        });
    });
}
