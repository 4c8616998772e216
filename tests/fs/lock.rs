//! Locks of files, and what a dropped wait for one leaves.

use std::cell::Cell;
use std::pin::pin;
use std::process::Command;

use annulus::blocking::to_thread;
use annulus::fs::{File, TryLockError};
use annulus::spawn;

use crate::common::directory::Directory;
use crate::common::memory::{LARGEST, Pool};
use crate::common::poll::{once, times, until};
use crate::{STAGES, run, writable};

fn is_locked(outcome: Result<(), TryLockError>) -> bool {
    match outcome {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn an_exclusive_lock_excludes_all_others_and_a_shared_one_the_exclusive_ones() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let [first, second] = [(); 2].map(|()| writable(&path));
        first.lock().await.unwrap();
        assert!(is_locked(second.try_lock()) && is_locked(second.try_lock_shared()));
        assert!(!is_locked(first.try_lock()), "it has the lock");
        let is_free = |path| Command::new("flock").args(["-n", path, "true"]).status();
        match is_free(path.to_str().unwrap()) {
            Ok(status) => assert!(!status.success(), "another process gets it"),
            Err(error) => crate::common::skip::skip(&format!("flock(1): {error}")),
        }
        first.unlock().await.unwrap();
        first.lock_shared().await.unwrap();
        assert!(!is_locked(second.try_lock_shared()) && is_locked(second.try_lock()));
        drop(first);
        // A test beside may be starting a program: until that is executed, the file is open there.
        until(|| !is_locked(second.try_lock())).await;
        let error = std::io::Error::from(writable(&path).try_lock().unwrap_err());
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    });
}

#[test]
fn a_lock_is_waited_for_until_the_other_file_releases_it() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let [first, second] = [(); 2].map(|()| writable(&path));
        first.lock().await.unwrap();
        let mut waits = pin!(second.lock());
        assert!(once(waits.as_mut()).await.is_pending());
        // The loop goes on.
        to_thread(|| ()).await.unwrap();
        assert!(once(waits.as_mut()).await.is_pending());
        first.unlock().await.unwrap();
        waits.await.unwrap();
        assert!(is_locked(first.try_lock()));
    });
}

/// The thread gets the lock when no future wants it.
#[test]
fn a_dropped_wait_for_a_lock_leaves_the_file_unlocked() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let [first, second, third] = [(); 3].map(|()| writable(&path));
        for polls in STAGES {
            first.lock().await.unwrap();
            drop(times(polls, second.lock()).await);
            first.unlock().await.unwrap();
            until(|| !is_locked(third.try_lock())).await;
            third.unlock().await.unwrap();
            // As long as the thread has not ended, this says so.
            until(|| !is_locked(second.try_lock())).await;
            second.unlock().await.unwrap();
        }
        // Nor does one leave it that was granted and not taken.
        first.lock().await.unwrap();
        let mut waits = Box::pin(second.lock());
        assert!(once(waits.as_mut()).await.is_pending());
        first.unlock().await.unwrap();
        until(|| is_locked(third.try_lock_shared()) || unlocks(&third)).await;
        drop(waits);
        until(|| !is_locked(third.try_lock())).await;
    });
}

/// Releases a lock that was only to be tried.
fn unlocks(file: &File) -> bool {
    use std::os::fd::AsRawFd;
    // SAFETY: the call takes no pointers.
    assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) }, 0);
    false
}

/// The thread of the dropped wait must not release what the next one has taken over.
#[test]
fn the_next_lock_takes_over_a_dropped_wait_and_keeps_the_lock() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let [first, second] = [(); 2].map(|()| writable(&path));
        for _ in 0..20 {
            first.lock().await.unwrap();
            assert!(times(2, second.lock()).await.is_none());
            assert!(is_locked(second.try_lock()));
            let clone = second.try_clone().unwrap();
            let mut next = pin!(clone.lock());
            assert!(once(next.as_mut()).await.is_pending());
            first.unlock().await.unwrap();
            next.await.unwrap();
            to_thread(|| ()).await.unwrap();
            assert!(is_locked(first.try_lock()));
            second.unlock().await.unwrap();
        }
    });
}

#[test]
fn a_lock_of_the_other_kind_waits_for_the_end_of_the_dropped_wait() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let [first, second, third] = [(); 3].map(|()| writable(&path));
        first.lock().await.unwrap();
        assert!(times(2, second.lock()).await.is_none());
        let mut next = pin!(second.lock_shared());
        assert!(once(next.as_mut()).await.is_pending());
        first.unlock().await.unwrap();
        next.await.unwrap();
        assert!(!is_locked(third.try_lock_shared()), "it is shared");
        assert!(is_locked(first.try_lock()));
    });
}

/// More than the threads of `to_thread`: its closures may be what ends the wait.
#[test]
fn a_hundred_waits_for_locks_do_not_keep_other_closures_from_threads() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let first = writable(&path);
        first.lock().await.unwrap();
        let granted = std::rc::Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (file, granted) = (writable(&path), std::rc::Rc::clone(&granted));
                spawn(async move {
                    file.lock().await.unwrap();
                    granted.set(granted.get() + 1);
                    file.unlock().await.unwrap();
                })
            })
            .collect();
        annulus::yield_now().await;
        to_thread(|| ()).await.unwrap();
        assert_eq!(granted.get(), 0);
        first.unlock().await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(granted.get(), 100);
    });
}

#[test]
fn a_lock_is_released_after_dropped_writes() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0; LARGEST]);
    let pool = Pool::new(16);
    run(async || {
        let file = writable(&path);
        for polls in STAGES {
            file.lock().await.unwrap();
            drop(times(polls, file.write_at(pool.filled(LARGEST, 7), 0)).await);
            file.unlock().await.unwrap();
            assert_eq!(pool.alive(), 0, "no write is in the kernel any more");
        }
    });
    pool.verify();
}

#[test]
fn a_file_that_cannot_be_locked_says_so() {
    run(async || {
        let path = std::env::temp_dir();
        let file = annulus::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(path)
            .await
            .unwrap();
        for error in [file.lock().await.unwrap_err(), file.try_lock().unwrap_err().into()] {
            assert_eq!(annulus::raw_os_error(&error), Some(libc::EBADF));
            assert!(error.to_string().starts_with("flock: "), "{error}");
        }
    });
}
