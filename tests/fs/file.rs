//! Files: what each operation does, each error, and what a dropped one leaves.

use std::fs;
use std::io::ErrorKind;
use std::mem;
use std::rc::Rc;

use annulus::buf::BufResult;
use annulus::fs::File;
use annulus::join::gather;

use crate::common::directory::Directory;
use crate::common::memory::{LARGEST, Pool};
use crate::common::poll::{once, times};
use crate::{STAGES, run, writable};

#[test]
fn a_file_is_created_written_synchronised_and_read() {
    let directory = Directory::new();
    run(async || {
        let path = directory.join("new");
        let file = File::create(&path).await.unwrap();
        let BufResult(count, buffer) = file.write_at("hello", 3).await;
        assert_eq!((count.unwrap(), buffer), (5, "hello"));
        file.sync_data().await.unwrap();
        file.sync_all().await.unwrap();
        let file = File::open(&path).await.unwrap();
        let BufResult(count, buffer) = file.read_at(Vec::with_capacity(16), 0).await;
        assert_eq!((count.unwrap(), &*buffer), (8, &b"\0\0\0hello"[..]));
        let BufResult(count, buffer) = file.read_at(buffer, 8).await;
        assert_eq!(count.unwrap(), 0, "the end of the file");
        assert!(buffer.is_empty());
    });
}

#[test]
fn a_read_is_as_long_as_its_buffer_and_begins_at_its_offset() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        let file = File::open(&path).await.unwrap();
        let BufResult(count, buffer) = file.read_at(Box::new([0; 4]), 5).await;
        assert_eq!((count.unwrap(), *buffer), (4, *b"5678"));
        let BufResult(count, _) = file.read_at(Box::new([0; 0]), 5).await;
        assert_eq!(count.unwrap(), 0);
    });
}

#[test]
fn an_open_reports_why_it_failed_and_for_which_file() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let missing = directory.join("missing");
        let error = File::open(&missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
        let error = File::open(path.join("below")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        let error = File::create(directory.path()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let error = File::open("zero\0byte").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_failed_transfer_returns_its_error_and_its_buffer() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let created = File::create(directory.join("write-only")).await.unwrap();
        let BufResult(result, buffer) = created.read_at(vec![7], 0).await;
        assert_eq!(annulus::raw_os_error(&result.unwrap_err()), Some(9), "EBADF");
        assert_eq!(buffer, [7]);
        let opened = File::open(&path).await.unwrap();
        let BufResult(result, buffer) = opened.write_at("text", 0).await;
        assert_eq!(annulus::raw_os_error(&result.unwrap_err()), Some(9), "EBADF");
        assert_eq!(buffer, "text");
        let BufResult(result, _) =
            File::open(directory.path()).await.unwrap().read_at(vec![7], 0).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::IsADirectory);
    });
}

/// The largest offset is the file's own position to the kernel.
#[test]
fn an_offset_that_no_file_has_is_refused() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        for offset in [u64::MAX, 1 << 63] {
            let BufResult(result, buffer) = file.read_at(vec![7], offset).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(buffer, [7]);
            let BufResult(result, _) = file.write_at("text", offset).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
    assert_eq!(fs::read(&path).unwrap(), b"content");
}

#[test]
fn a_synchronisation_that_is_not_possible_says_so() {
    run(async || {
        let (pipe, _writer) = std::io::pipe().unwrap();
        let pipe = File::from_std(std::os::fd::OwnedFd::from(pipe).into());
        assert_eq!(pipe.sync_all().await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(pipe.sync_data().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

/// The first eight submit a call each, and the others wait for the next.
#[test]
fn tasks_that_synchronise_one_file_at_the_same_time_share_calls() {
    const TASKS: usize = 64;
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let file = writable(&path);
        // The bell is armed, and takes no SQE any more.
        file.sync_all().await.unwrap();
        let before = annulus::metrics().submitted;
        let syncs = (0..TASKS).map(|_| file.sync_data()).collect::<Vec<_>>();
        for synced in gather(syncs).await {
            synced.unwrap();
        }
        let submitted = annulus::metrics().submitted - before;
        assert_eq!(submitted, 9);
        let records = (0..TASKS as u64)
            .map(|at| file.write_all_at(format!("{at:03}\n"), 4 * at).then_sync_data());
        for BufResult(written, _) in gather(records.collect::<Vec<_>>()).await {
            written.unwrap();
        }
        let submitted = annulus::metrics().submitted - before - submitted;
        assert!(submitted < 2 * TASKS as u64, "{submitted}: a write each, and fewer calls");
    });
    let expected: String = (0..TASKS).map(|at| format!("{at:03}\n")).collect();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn a_synchronisation_that_fails_has_failed_for_all_tasks_that_share_it() {
    run(async || {
        let (pipe, _writer) = std::io::pipe().unwrap();
        let pipe = File::from_std(std::os::fd::OwnedFd::from(pipe).into());
        let syncs = (0..8).map(|_| pipe.sync_data()).collect::<Vec<_>>();
        for synced in gather(syncs).await {
            assert_eq!(synced.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn tasks_that_share_synchronisations_are_not_held_up_by_those_that_are_dropped() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = Rc::new(writable(&path));
        for polls in STAGES {
            let mut tasks = Vec::new();
            for at in 0..16_u64 {
                let file = Rc::clone(&file);
                tasks.push(annulus::spawn(async move {
                    let sync = file.write_at(vec![at as u8], at).then_sync_data();
                    if at % 3 == 0 {
                        drop(times(polls, sync).await);
                    } else {
                        sync.await.0.unwrap();
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        }
    });
}

#[test]
fn a_dropped_read_keeps_its_buffer_until_the_kernel_has_released_it() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0x5a; 4 * LARGEST]);
    let pool = Pool::new(64);
    run(async || {
        let file = File::open(&path).await.unwrap();
        for polls in STAGES {
            for offset in 0..4 {
                let read = file.read_at(pool.take(LARGEST), (offset * LARGEST) as u64);
                drop(times(polls, read).await);
                pool.verify();
            }
        }
        let BufResult(count, _) = file.read_at(Vec::with_capacity(LARGEST), 0).await;
        assert_eq!(count.unwrap(), LARGEST, "no dropped read has moved anything");
    });
    assert_eq!(pool.alive(), 0);
    pool.verify();
}

#[test]
fn a_synchronisation_waits_for_dropped_writes() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0; LARGEST]);
    let pool = Pool::new(64);
    run(async || {
        let file = writable(&path);
        for polls in STAGES {
            for _ in 0..8 {
                drop(times(polls, file.write_at(pool.filled(LARGEST, 0x5a), 0)).await);
            }
            file.sync_all().await.unwrap();
            assert_eq!(pool.alive(), 0, "no write is in the kernel any more");
        }
    });
    pool.verify();
    let content = fs::read(&path).unwrap();
    assert_eq!(content.len(), LARGEST);
    assert!(content.iter().all(|byte| [0, 0x5a].contains(byte)), "as it was, or as written");
}

#[test]
fn a_dropped_synchronisation_leaves_the_file_usable() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        for polls in STAGES {
            drop(times(polls, file.sync_all()).await);
            drop(times(polls, file.sync_data()).await);
        }
        file.sync_all().await.unwrap();
    });
}

/// It waits for a reader on a kernel worker, which a cancel interrupts, but does not take off it.
#[test]
fn a_forgotten_read_keeps_its_buffer_for_ever() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0x5a; LARGEST]);
    let pool = Pool::new(4);
    run(async || {
        let file = File::open(&path).await.unwrap();
        let mut read = Box::pin(file.read_at(pool.take(LARGEST), 0));
        assert!(once(read.as_mut()).await.is_pending());
        mem::forget(read);
    });
    assert_eq!(pool.alive(), 1);
    pool.verify();
    mem::forget(pool);
}
