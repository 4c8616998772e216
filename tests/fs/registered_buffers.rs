//! Registered buffers: what is read and written with them, who gets the next, and what ends.

use std::io;
use std::sync::{Arc, Mutex};

use annulus::buf::{BufResult, IoBuf, RegisteredBuf, RegisteredBuffers};
use annulus::fs::{File, OpenOptions};
use annulus::{Incident, Runtime, spawn};

use crate::common::bounded::bounded;
use crate::common::child::isolated;
use crate::common::directory::Directory;
use crate::common::poll::{times, until, yield_times};
use crate::common::random::seeded;
use crate::common::skip::needs_kernel_ring;
use crate::{STAGES, run, this_test, writable};

const SIZE: usize = 8192;

#[test]
fn registered_buffers_are_read_into_and_written_from_at_any_offset_and_length() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0; 4 * SIZE]);
    run(async || {
        let buffers = RegisteredBuffers::new(3, SIZE).unwrap();
        assert_eq!((buffers.count(), buffers.buffer_size()), (3, SIZE));
        let file = writable(&path);
        let mut expected = vec![0; 4 * SIZE];
        let mut random = seeded();
        for _ in 0..200 {
            let (start, length) = (random.usize(0..3 * SIZE), random.usize(1..SIZE));
            let skipped = random.usize(..length);
            let mut buffer = buffers.get().await;
            assert!(buffer.is_empty());
            buffer.resize(length, random.u8(..));
            expected[start..start + length - skipped].copy_from_slice(&buffer[skipped..]);
            let BufResult(result, _) =
                file.write_all_at(buffer.slice(skipped..), start as u64).await;
            result.unwrap();
            let start = random.usize(0..3 * SIZE);
            let BufResult(result, buffer) =
                file.read_exact_at(buffers.try_get().unwrap(), start as u64).await;
            result.unwrap();
            assert_eq!(*buffer, expected[start..start + SIZE]);
        }
        assert_eq!(buffers.available(), 3);
        file.append(buffers.get().await).await.0.unwrap();
        let mut tail = buffers.get().await;
        tail.extend_from_slice(b"the end");
        file.append(tail).await.0.unwrap();
        let BufResult(count, tail) = file.read_at(buffers.get().await, 4 * SIZE as u64).await;
        assert_eq!((count.unwrap(), &*tail), (7, &b"the end"[..]));
    });
}

#[test]
fn registered_buffers_serve_direct_io() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let mut options = OpenOptions::new();
        let Ok(file) = options.read(true).write(true).direct(true).open(&path).await else {
            return crate::common::skip::skip("the file system has no direct I/O");
        };
        let buffers = RegisteredBuffers::new(8, 4096).unwrap();
        for number in 0..8 {
            let mut buffer = buffers.get().await;
            buffer.resize(4096, number as u8);
            file.write_all_at(buffer, number * 4096).await.0.unwrap();
        }
        for number in 0..8 {
            let BufResult(result, buffer) =
                file.read_exact_at(buffers.get().await, number * 4096).await;
            result.unwrap();
            assert!(buffer.iter().all(|&byte| byte == number as u8));
        }
    });
}

#[test]
fn waiters_get_the_buffers_that_return_in_the_order_in_which_they_began_to_wait() {
    run(async || {
        let buffers = RegisteredBuffers::new(1, 1).unwrap();
        let first = buffers.get().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..4)
            .map(|number| {
                let (buffers, order) = (buffers.clone(), Arc::clone(&order));
                spawn(async move {
                    let buffer = buffers.get().await;
                    order.lock().unwrap().push(number);
                    annulus::yield_now().await;
                    drop(buffer);
                })
            })
            .collect();
        yield_times(8).await;
        assert!(times(2, buffers.get()).await.is_none(), "there is none");
        drop(first);
        assert!(buffers.try_get().is_none(), "it has been granted to the first waiter");
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
        assert_eq!(buffers.available(), 1);
    });
}

/// The race: the kernel fills buffers whose reads were dropped, while others of the set are checked
/// out anew and its handle goes.
#[test]
fn a_set_whose_operations_are_dropped_at_any_stage_gives_no_buffer_twice() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0x5a; 16 * SIZE]);
    run(async || {
        let file = File::open(&path).await.unwrap();
        for polls in STAGES {
            let buffers = RegisteredBuffers::new(4, SIZE).unwrap();
            for round in 0..16 {
                drop(times(polls, file.read_at(buffers.get().await, round * SIZE as u64)).await);
                let mut kept = buffers.get().await;
                kept.resize(SIZE, 7);
                yield_times(2).await;
                assert!(kept.iter().all(|&byte| byte == 7), "a late read has another buffer");
            }
            until(|| buffers.available() == 4).await;
            let read = file.read_at(buffers.get().await, 0);
            drop(buffers);
            drop(times(polls, read).await);
        }
    });
}

#[test]
fn buffers_and_sets_may_outlive_their_runtime_and_be_used_in_another() {
    let directory = Directory::new();
    let path = directory.file("file", "on another ring");
    bounded(|| {
        let first = Runtime::new().unwrap();
        let (buffers, mut buffer) = first.block_on(async {
            let buffers = RegisteredBuffers::new(2, 100).unwrap();
            let buffer = buffers.get().await;
            (buffers, buffer)
        });
        buffer.extend_from_slice(b"kept");
        let in_flight = buffers.try_get().unwrap();
        let file = first.block_on(async { File::open(&path).await.unwrap() });
        let read = file.read_at(in_flight, 0);
        let second = Runtime::new().unwrap();
        let read_there = async |buffer: RegisteredBuf| {
            let file = File::open(&path).await.unwrap();
            let BufResult(count, buffer) = file.read_at(buffer, 3).await;
            assert_eq!((count.unwrap(), &*buffer), (12, &b"another ring"[..]));
            buffer
        };
        let buffer = second.block_on(read_there(buffer));
        drop((read, file, first));
        // The ring that they are registered with is closed.
        drop(second.block_on(read_there(buffer)));
        assert_eq!(buffers.available(), 2);
        drop(buffers);
    });
}

#[test]
fn many_sets_come_and_go_and_their_slots_are_used_again() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = File::open(&path).await.unwrap();
        // More than the ring's table has slots.
        for _ in 0..1100 {
            let buffers = RegisteredBuffers::new(1, 16).unwrap();
            let BufResult(count, buffer) = file.read_at(buffers.get().await, 0).await;
            assert_eq!((count.unwrap(), &*buffer), (7, &b"content"[..]));
        }
    });
}

#[test]
fn a_set_that_cannot_be_is_an_error() {
    run(async || {
        for (count, size) in [(0, 1), (1, 0), (usize::MAX, 2), (1, usize::MAX), (1, (1 << 30) + 1)]
        {
            let error = RegisteredBuffers::new(count, size).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{count} x {size}: {error}");
        }
    });
}

#[test]
fn a_set_beyond_the_limit_of_locked_memory_works_unregistered_and_is_reported() {
    const LIMIT: u64 = 1 << 20;
    if needs_kernel_ring("only the kernel locks registered memory") {
        return;
    }
    isolated(this_test!(), || {
        become_unprivileged();
        let limit = libc::rlimit { rlim_cur: LIMIT, rlim_max: LIMIT };
        // SAFETY: the call reads one `rlimit`.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }, 0);
        let incidents = Arc::new(Mutex::new(Vec::new()));
        let reported = Arc::clone(&incidents);
        let runtime = Runtime::builder()
            .on_incident(move |incident| reported.lock().unwrap().push(incident.clone()))
            .build()
            .unwrap();
        runtime.block_on(async {
            let large = RegisteredBuffers::new(2, LIMIT as usize).unwrap();
            assert!(!large.is_registered());
            let small = RegisteredBuffers::new(1, 4096).unwrap();
            assert!(small.is_registered(), "the refused set charges nothing");
            let file = File::open("/dev/zero").await.unwrap();
            for buffers in [large, small] {
                let buffer = buffers.get().await;
                let BufResult(read, buffer) = file.read_exact_at(buffer, 0).await;
                read.unwrap();
                assert_eq!(buffer.len(), buffer.capacity());
            }
        });
        let incidents = incidents.lock().unwrap();
        let is_it = |incident: &&Incident| matches!(incident, Incident::BuffersNotRegistered { bytes, .. } if *bytes == 2 << 20);
        assert_eq!(incidents.iter().filter(is_it).count(), 1, "{incidents:?}");
    });
}

/// Locked memory is not limited for root: becomes a user that no other process is.
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
