//! Threads for closures in a forked child, which inherits no thread. Each test forks from a process
//! of its own.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use annulus::Runtime;
use annulus::blocking::{ThreadPool, to_thread};
use annulus::net::lookup;

use crate::common::child;
use crate::common::patience::limit;
use crate::this_test;

/// Runs `prepare`, and then `body` in a forked child of this process.
fn forked<T>(name: &str, prepare: impl FnOnce() -> T, body: impl FnOnce(T)) {
    if child::role().is_none() {
        let output = child::command(name, "forks").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return assert!(output.status.success(), "{text}");
    }
    let prepared = prepare();
    // SAFETY: the child makes calls that are not safe after the fork of a process with threads, as
    // allocations; with glibc those work, and this is what is tested.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let done = catch_unwind(std::panic::AssertUnwindSafe(|| body(prepared)));
        // SAFETY: it ends the process.
        unsafe { libc::_exit(i32::from(done.is_err())) };
    }
    std::mem::forget(prepared);
    let (deadline, mut status) = (Instant::now() + limit(), 0);
    // SAFETY: the call writes the status.
    while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
        if Instant::now() > deadline {
            // SAFETY: the child has not been waited for, so the number is still its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            panic!("the forked child hangs");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(status, 0, "the child's status");
}

/// A process whose pool has a thread, which is idle.
fn with_an_idle_thread() {
    annulus::run(async { to_thread(|| ()).await.unwrap() }).unwrap();
    std::thread::sleep(Duration::from_millis(20));
}

#[test]
fn closures_run_on_threads_of_the_forked_child() {
    forked(this_test!(), with_an_idle_thread, |()| {
        annulus::run(async { assert_eq!(to_thread(|| 5).await.unwrap(), 5) }).unwrap();
    });
}

#[test]
fn closures_run_in_a_forked_child_whose_parent_was_using_its_threads() {
    let busy = || {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            // All threads are busy, and closures queue.
            for _ in 0..70 {
                drop(to_thread(|| std::thread::sleep(Duration::from_millis(500))));
            }
        });
    };
    forked(this_test!(), busy, |()| {
        annulus::run(async { assert_eq!(to_thread(|| 5).await.unwrap(), 5) }).unwrap();
    });
}

#[test]
fn names_are_looked_up_in_a_forked_child() {
    forked(this_test!(), with_an_idle_thread, |()| {
        // It is no name, but the C library reads it as an address, and only on a thread.
        annulus::run(async { lookup("127.1:80").await.unwrap() }).unwrap();
    });
}

#[test]
fn a_pool_of_ones_own_starts_threads_afresh_in_a_forked_child() {
    let pool = || {
        let pool = ThreadPool::new(1, Duration::from_secs(3600));
        annulus::run(async { pool.spawn(|| ()).await.unwrap() }).unwrap();
        pool
    };
    forked(this_test!(), pool, |pool| {
        assert_eq!(pool.threads(), 0);
        annulus::run(async {
            assert_eq!(pool.spawn(|| 5).await.unwrap(), 5);
            assert_eq!(pool.threads(), 1);
            drop(pool);
        })
        .unwrap();
    });
}
