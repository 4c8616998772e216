//! Counters that threads and processes share.

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::pin::pin;
use std::thread;

use annulus::io::EventFd;
use annulus::{Runtime, spawn};

use crate::common::poll::{once, times};
use crate::common::watchdog::{block_on, run};

#[test]
fn a_counter_is_taken_whole_and_a_semaphore_one_by_one() {
    run(async {
        let counter = EventFd::new(2).unwrap();
        counter.add(3).await.unwrap();
        assert_eq!(counter.take().await.unwrap(), 5);
        assert_eq!(counter.try_take().unwrap_err().kind(), ErrorKind::WouldBlock);
        let semaphore = EventFd::semaphore(2).unwrap();
        semaphore.add(1).await.unwrap();
        for _ in 0..3 {
            assert_eq!(semaphore.take().await.unwrap(), 1);
        }
        assert!(once(pin!(semaphore.take())).await.is_pending());
    });
}

#[test]
fn other_threads_and_descriptors_of_other_processes_wake_a_wait() {
    run(async {
        let counter = EventFd::new(0).unwrap();
        let handle = counter.handle();
        let adding = thread::spawn(move || {
            for _ in 0..1000 {
                handle.add(1).unwrap();
            }
        });
        let mut sum = 0;
        while sum < 1000 {
            sum += counter.take().await.unwrap();
        }
        adding.join().unwrap();
        assert_eq!(sum, 1000);
        // What another process was given is a duplicate.
        let other = EventFd::from_std(counter.as_fd().try_clone_to_owned().unwrap()).unwrap();
        other.add(7).await.unwrap();
        assert_eq!(counter.take().await.unwrap(), 7);
    });
}

/// The race: a wait is dropped when the count has come.
#[test]
fn a_dropped_wait_takes_nothing_from_a_counter() {
    let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
    block_on(&runtime, async {
        let semaphore = EventFd::semaphore(0).unwrap();
        let handle = semaphore.handle();
        let mut taken = 0;
        for round in 0..100 {
            {
                let mut dropped = pin!(semaphore.take());
                assert!(once(dropped.as_mut()).await.is_pending());
                handle.add(1).unwrap();
                annulus::yield_now().await;
            }
            if times(round % 3 + 1, semaphore.take()).await.is_some() {
                taken += 1;
            }
        }
        for _ in taken..100 {
            assert_eq!(semaphore.take().await.unwrap(), 1);
        }
        assert_eq!(semaphore.try_take().unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn an_addition_waits_for_room_and_one_that_waits_wakes() {
    run(async {
        let counter = EventFd::new(1).unwrap();
        counter.add(u64::MAX - 2).await.unwrap();
        let handle = counter.handle();
        assert_eq!(handle.add(1).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(handle.add(u64::MAX).unwrap_err().kind(), ErrorKind::InvalidInput);
        let mut adding = pin!(counter.add(5));
        assert!(once(adding.as_mut()).await.is_pending());
        assert_eq!(counter.try_take().unwrap(), u64::MAX - 1);
        adding.await.unwrap();
        assert_eq!(counter.take().await.unwrap(), 5);
    });
}

#[test]
fn several_waits_share_the_counts_of_a_semaphore() {
    run(async {
        let semaphore = std::rc::Rc::new(EventFd::semaphore(0).unwrap());
        let waits: Vec<_> = (0..10)
            .map(|_| {
                let semaphore = std::rc::Rc::clone(&semaphore);
                spawn(async move { semaphore.take().await.unwrap() })
            })
            .collect();
        annulus::yield_now().await;
        semaphore.add(10).await.unwrap();
        for wait in waits {
            assert_eq!(wait.await.unwrap(), 1);
        }
        assert_eq!(semaphore.try_take().unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_blocking_counter_is_refused_and_left_as_it_is() {
    run(async {
        // SAFETY: the call takes no pointers, and nothing else owns the descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
        let kept = fd.try_clone().unwrap();
        assert_eq!(EventFd::from_std(fd).unwrap_err().kind(), ErrorKind::InvalidInput);
        // SAFETY: the call takes no pointers.
        let flags = unsafe { libc::fcntl(kept.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    });
}
