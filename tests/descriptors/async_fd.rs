//! Waiting for any descriptor: pipes, event counters, timers, sockets.
//!
//! The race: a wait is dropped, and then the descriptor, while the poll is in the queue or in the
//! kernel. Were the descriptor closed at once, its number could be another file's when the poll is
//! submitted.

use std::cell::Cell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use std::{mem, ptr};

use annulus::io::{AsyncFd, Interest};
use annulus::{Runtime, spawn};
use futures_util::StreamExt;

use crate::common::child::isolated;
use crate::common::descriptors::{assert_back_to, counting, open};
use crate::common::poll::{once, times, until, until_ring_has_looked, yield_times};
use crate::common::random::seeded;
use crate::this_test;

/// Runs on a runtime whose loop enters the kernel between two polls of the only task, and counts
/// descriptors.
fn run(body: impl AsyncFnOnce()) {
    counting(|| {
        let before = open();
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        runtime.block_on(body());
        drop(runtime);
        assert_back_to(before);
    });
}

/// A counter that is readable when it is not zero.
fn event_counter() -> File {
    // SAFETY: the call takes no pointers, and what it returns is open and has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_NONBLOCK)) };
    fd.into()
}

fn timer(after: Duration) -> File {
    let spec = libc::itimerspec {
        it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: libc::timespec { tv_sec: 0, tv_nsec: after.as_nanos() as libc::c_long },
    };
    // SAFETY: the calls read one `itimerspec`, and the descriptor is open and has no other owner.
    unsafe {
        let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK);
        let fd = OwnedFd::from_raw_fd(fd);
        assert_eq!(libc::timerfd_settime(fd.as_raw_fd(), 0, &spec, ptr::null_mut()), 0);
        fd.into()
    }
}

fn nonblocking_pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: the call writes two descriptors, which are open and have no other owner.
    let [reader, writer] = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK), 0);
        ends.map(|fd| OwnedFd::from_raw_fd(fd))
    };
    (reader.into(), writer.into())
}

fn signal(mut counter: &File) {
    counter.write_all(&1_u64.to_ne_bytes()).unwrap();
}

fn take(mut counter: &File) -> io::Result<u64> {
    let mut count = [0; 8];
    counter.read_exact(&mut count).map(|()| u64::from_ne_bytes(count))
}

#[test]
fn a_wait_ends_with_the_event_and_what_is_left_ends_the_next_one() {
    run(async || {
        let counter = AsyncFd::new(event_counter()).unwrap();
        let mut waiting = pin!(counter.readable());
        for _ in 0..5 {
            assert!(once(waiting.as_mut()).await.is_pending());
            yield_times(1).await;
        }
        signal(counter.get_ref());
        assert!(waiting.await.unwrap().ready().is_readable());
        // Nothing has been read: it is level-triggered.
        let ready = counter.readable().await.unwrap();
        assert_eq!(ready.try_io(|counter| take(counter.get_ref())).unwrap().unwrap(), 1);
        assert!(ready.try_io(|counter| take(counter.get_ref())).is_err());
        assert!(times(5, counter.readable()).await.is_none());
        assert!(counter.writable().await.unwrap().ready().is_writable());
    });
}

#[test]
fn a_timer_of_the_kernel_ends_a_wait() {
    run(async || {
        let began = Instant::now();
        let timer = AsyncFd::new(timer(Duration::from_millis(5))).unwrap();
        assert_eq!(timer.async_io(Interest::READABLE, take).await.unwrap(), 1);
        assert!(began.elapsed() >= Duration::from_millis(5));
    });
}

#[test]
fn a_full_pipe_is_writable_when_it_has_been_read_from() {
    run(async || {
        let (mut reader, writer) = nonblocking_pipe();
        let writer = AsyncFd::new(writer).unwrap();
        while writer.get_ref().write(&[7; 4096]).is_ok() {}
        assert!(times(5, writer.writable()).await.is_none());
        let mut waiting = pin!(writer.writable());
        assert!(once(waiting.as_mut()).await.is_pending());
        reader.read_exact(&mut [0; 4096]).unwrap();
        assert!(waiting.await.unwrap().ready().is_writable());
    });
}

#[test]
fn the_end_of_the_other_side_ends_waits_and_is_told() {
    run(async || {
        let (reader, writer) = nonblocking_pipe();
        let reader = AsyncFd::new(reader).unwrap();
        drop(writer);
        let ready = reader.readable().await.unwrap().ready();
        assert!(ready.is_read_closed() && ready.is_readable() && !ready.is_error());
        let (reader, writer) = nonblocking_pipe();
        let writer = AsyncFd::new(writer).unwrap();
        while writer.get_ref().write(&[7; 4096]).is_ok() {}
        let mut waiting = pin!(writer.writable());
        assert!(once(waiting.as_mut()).await.is_pending());
        yield_times(2).await;
        drop(reader);
        let ready = waiting.await.unwrap().ready();
        assert!(ready.is_write_closed() && ready.is_writable() && ready.is_error());
        let (near, far) = UnixStream::pair().unwrap();
        let near = AsyncFd::new(near).unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        let ready = near.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap().ready();
        assert!(ready.is_read_closed() && ready.is_writable() && !ready.is_write_closed());
    });
}

#[test]
fn tasks_that_wait_for_one_event_are_all_woken() {
    run(async || {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = Rc::new(AsyncFd::new(near).unwrap());
        let woken = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (near, woken) = (Rc::clone(&near), Rc::clone(&woken));
                spawn(async move {
                    assert!(near.readable().await.unwrap().ready().is_readable());
                    woken.set(woken.get() + 1);
                })
            })
            .collect();
        yield_times(5).await;
        // A task that waits for the other direction is not held up by them.
        near.writable().await.unwrap();
        assert_eq!(woken.get(), 0);
        far.write_all(b"x").unwrap();
        until(|| woken.get() == 3).await;
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn tasks_that_read_from_one_pipe_read_every_byte_whatever_waits_are_dropped() {
    const BYTES: usize = 2000;
    run(async || {
        let (reader, mut writer) = nonblocking_pipe();
        let reader = Rc::new(AsyncFd::new(reader).unwrap());
        let sum = Rc::new(Cell::new((0, 0)));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (reader, sum) = (Rc::clone(&reader), Rc::clone(&sum));
                spawn(async move {
                    let mut random = seeded();
                    while sum.get().0 < BYTES {
                        let mut byte = [0; 3];
                        let read = |mut pipe: &File| pipe.read(&mut byte);
                        let read = reader.async_io(Interest::READABLE, read);
                        let Some(count) = times(random.usize(1..4), read).await else { continue };
                        let (bytes, total) = sum.get();
                        let read = &byte[..count.unwrap()];
                        let of_read: usize = read.iter().map(|&byte| usize::from(byte)).sum();
                        sum.set((bytes + read.len(), total + of_read));
                    }
                })
            })
            .collect();
        let mut expected = 0;
        for number in 0..BYTES {
            let byte = (number % 251) as u8;
            expected += usize::from(byte);
            writer.write_all(&[byte]).unwrap();
            yield_times(1).await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(sum.get(), (BYTES, expected));
    });
}

#[test]
fn a_descriptor_is_not_closed_under_a_poll_that_waits_to_be_submitted() {
    run(async || {
        let before = open();
        let (near, mut far) = UnixStream::pair().unwrap();
        let number = near.as_raw_fd();
        let near = AsyncFd::new(near).unwrap();
        assert!(times(1, near.readable()).await.is_none());
        drop(near);
        // The poll is in the queue, with the number.
        let other = event_counter();
        assert_ne!(other.as_raw_fd(), number);
        drop(other);
        // The peer reads EOF once the poll has ended.
        far.set_nonblocking(true).unwrap();
        until(|| far.read(&mut [0]).is_ok_and(|count| count == 0)).await;
        drop(far);
        assert_eq!(open(), before);
    });
}

#[test]
fn a_descriptor_is_closed_at_once_if_no_poll_is_in_flight() {
    run(async || {
        let before = open();
        let counter = AsyncFd::new(event_counter()).unwrap();
        signal(counter.get_ref());
        counter.readable().await.unwrap();
        drop(counter);
        assert_eq!(open(), before);
    });
}

#[test]
fn a_descriptor_is_closed_after_a_poll_in_the_kernel() {
    run(async || {
        let before = open();
        let counter = AsyncFd::new(event_counter()).unwrap();
        let context = &mut Context::from_waker(Waker::noop());
        assert!(counter.poll_read_ready(context).is_pending());
        yield_times(3).await;
        drop(counter);
        assert_eq!(open(), before + 1);
        until(|| open() == before).await;
    });
}

#[test]
fn a_value_comes_back_when_no_poll_uses_its_descriptor() {
    run(async || {
        let counter = AsyncFd::new(event_counter()).unwrap();
        assert!(times(3, counter.readable()).await.is_none());
        assert!(once(pin!(counter.readable())).await.is_pending());
        let mut taking = pin!(counter.into_inner());
        assert!(once(taking.as_mut()).await.is_pending());
        signal(&taking.await);
    });
}

#[test]
fn a_forgotten_wait_keeps_the_descriptor_open() {
    // For ever, so it is a child's; but the child's pipes are this process's.
    counting(|| {
        isolated(this_test!(), || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let before = open();
                let counter = Box::leak(Box::new(AsyncFd::new(event_counter()).unwrap()));
                let mut waiting = Box::pin(counter.readable());
                assert!(once(waiting.as_mut()).await.is_pending());
                mem::forget(waiting);
                // The same as a drop: the leaked reference is not used again.
                // SAFETY: the pointer is that of the box above.
                drop(unsafe { Box::from_raw(ptr::from_mut(counter)) });
                yield_times(5).await;
                assert_eq!(open(), before + 1);
            });
        });
    });
}

#[test]
fn a_task_that_polls_is_woken() {
    run(async || {
        let counter = Rc::new(AsyncFd::new(event_counter()).unwrap());
        let context = &mut Context::from_waker(Waker::noop());
        assert!(counter.poll_read_ready(context).is_pending());
        let its = Rc::clone(&counter);
        let task = spawn(async move {
            poll_fn(|context| its.poll_read_ready(context).map_ok(drop)).await.unwrap();
            poll_fn(|context| its.poll_write_ready(context).map_ok(drop)).await.unwrap();
            take(its.get_ref()).unwrap()
        });
        yield_times(3).await;
        signal(counter.get_ref());
        assert_eq!(task.await.unwrap(), 1);
    });
}

#[test]
fn files_and_directories_are_refused() {
    run(async || {
        for path in ["Cargo.toml", "src"] {
            let error = AsyncFd::new(File::open(path).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    });
}

#[test]
fn a_value_without_an_open_descriptor_is_refused() {
    struct Closed;
    impl AsFd for Closed {
        fn as_fd(&self) -> BorrowedFd<'_> {
            // SAFETY: nothing is open under the number, which is only looked up.
            unsafe { BorrowedFd::borrow_raw(i32::MAX - 1) }
        }
    }
    run(async || {
        let error = AsyncFd::new(Closed).err().unwrap();
        assert_eq!(error.to_string(), "fstat: Bad file descriptor (os error 9)");
    });
}

#[test]
fn a_runtime_that_ends_under_a_wait_closes_the_descriptor() {
    counting(|| {
        let before = open();
        let runtime = Runtime::new().unwrap();
        let outliving = runtime.block_on(async {
            let counter = Rc::new(AsyncFd::new(event_counter()).unwrap());
            let its = Rc::clone(&counter);
            drop(spawn(async move { its.readable().await.map(drop) }));
            drop(spawn(async {
                let own = AsyncFd::new(event_counter()).unwrap();
                own.readable().await.map(drop)
            }));
            yield_times(3).await;
            counter
        });
        drop(runtime);
        assert_eq!(open(), before + 1);
        drop(outliving);
        assert_eq!(open(), before);
    });
}

#[test]
fn a_stream_of_events_reports_each_change_once_and_what_is_ready_at_its_start() {
    run(async || {
        let counter = AsyncFd::new(event_counter()).unwrap();
        counter.get_ref().write_all(&1u64.to_ne_bytes()).unwrap();
        let mut events = counter.events(Interest::READABLE);
        assert!(events.next().await.unwrap().unwrap().is_readable());
        // It is still ready, which is not reported again.
        assert!(times(5, events.next()).await.is_none());
        for _ in 0..3 {
            counter.get_ref().write_all(&1u64.to_ne_bytes()).unwrap();
            until_ring_has_looked().await;
        }
        assert!(events.next().await.unwrap().unwrap().is_readable());
        assert!(times(5, events.next()).await.is_none(), "three reports are one");
        drop(events);
        let mut again = counter.events(Interest::READABLE);
        assert!(again.next().await.unwrap().unwrap().is_readable());
    });
}

/// More reports than the driver keeps end the poll, which begins anew.
#[test]
fn a_stream_of_events_that_is_not_read_goes_on() {
    run(async || {
        let counter = AsyncFd::new(event_counter()).unwrap();
        let mut events = counter.events(Interest::READABLE);
        assert!(times(2, events.next()).await.is_none());
        for round in 0..4 {
            for _ in 0..100 {
                counter.get_ref().write_all(&1u64.to_ne_bytes()).unwrap();
                yield_times(2).await;
            }
            let report = events.next().await.unwrap().unwrap();
            assert!(report.is_readable(), "round {round}");
            yield_times(3).await;
        }
    });
}

/// The race: the stream, and then the descriptor, are dropped while the poll is in the queue or in
/// the kernel.
#[test]
fn the_descriptor_of_dropped_events_is_closed_after_their_poll() {
    run(async || {
        for turns in 0..4 {
            let counter = AsyncFd::new(event_counter()).unwrap();
            let number = counter.as_raw_fd();
            {
                let mut events = counter.events(Interest::READABLE);
                assert!(once(pin!(events.next())).await.is_pending());
                yield_times(turns).await;
            }
            drop(counter);
            let other = event_counter();
            assert!(turns > 0 || other.as_raw_fd() != number, "the number is used under a poll");
            yield_times(3).await;
        }
        let counter = AsyncFd::new(event_counter()).unwrap();
        let mut events = counter.events(Interest::READABLE);
        assert!(times(2, events.next()).await.is_none());
        drop(events);
        counter.into_inner().await;
    });
}
