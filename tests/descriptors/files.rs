//! Files: what each operation does, each error, and what becomes of it when its future is dropped
//! at each stage: before it is submitted, in the queue, in the kernel, completed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::{env, fs, mem, process};

use crate::common::bounded::bounded;
use crate::common::descriptors::{alone, assert_back_to, open};
use crate::common::memory::{LARGEST, Pool};
use crate::common::poll::{once, times, until, yield_times};
use annulus::Runtime;
use annulus::buf::BufResult;
use annulus::fs::File;

/// How often a future that is dropped is polled: from never to completed.
const STAGES: std::ops::Range<usize> = 0..6;

/// A directory that is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("annulus-files-{name}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A named pipe.
    fn pipe(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        assert!(process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run<T>(test: impl AsyncFnOnce() -> T) -> T {
    bounded(|| runtime().block_on(test()))
}

/// One poll a turn: so a test decides how far the kernel has come.
fn runtime() -> Runtime {
    Runtime::builder().max_polls_per_turn(1).build().unwrap()
}

fn append(path: &Path) -> File {
    File::from_std(fs::OpenOptions::new().read(true).write(true).open(path).unwrap())
}

#[test]
fn a_file_is_created_written_synchronised_and_read() {
    let _alone = alone();
    let directory = Directory::new("whole");
    run(async || {
        let path = directory.0.join("new");
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
    let _alone = alone();
    let directory = Directory::new("reads");
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
    let _alone = alone();
    let directory = Directory::new("open-errors");
    let path = directory.file("file", "");
    run(async || {
        let missing = directory.0.join("missing");
        let error = File::open(&missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
        let error = File::open(path.join("below")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        let error = File::create(&directory.0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let error = File::open("zero\0byte").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_failed_transfer_returns_its_error_and_its_buffer() {
    let _alone = alone();
    let directory = Directory::new("errors");
    let path = directory.file("file", "content");
    run(async || {
        let created = File::create(directory.0.join("write-only")).await.unwrap();
        let BufResult(result, buffer) = created.read_at(vec![7], 0).await;
        assert_eq!(annulus::raw_os_error(&result.unwrap_err()), Some(9), "EBADF");
        assert_eq!(buffer, [7]);
        let opened = File::open(&path).await.unwrap();
        let BufResult(result, buffer) = opened.write_at("text", 0).await;
        assert_eq!(annulus::raw_os_error(&result.unwrap_err()), Some(9), "EBADF");
        assert_eq!(buffer, "text");
        let BufResult(result, _) =
            File::open(&directory.0).await.unwrap().read_at(vec![7], 0).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::IsADirectory);
    });
}

/// The largest offset is the file's own position to the kernel.
#[test]
fn an_offset_that_no_file_has_is_refused() {
    let _alone = alone();
    let directory = Directory::new("offsets");
    let path = directory.file("file", "content");
    run(async || {
        let file = append(&path);
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
    let _alone = alone();
    run(async || {
        let (pipe, _writer) = std::io::pipe().unwrap();
        let pipe = File::from_std(std::os::fd::OwnedFd::from(pipe).into());
        assert_eq!(pipe.sync_all().await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(pipe.sync_data().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_dropped_open_closes_what_it_has_opened() {
    let _alone = alone();
    let directory = Directory::new("dropped-opens");
    let path = directory.file("file", "");
    let before = open();
    run(async || {
        for polls in STAGES {
            for _ in 0..50 {
                drop(times(polls, File::open(&path)).await);
            }
        }
        // The last have completed when a later one has.
        yield_times(10).await;
        drop(File::open(&path).await.unwrap());
    });
    assert_back_to(before);
}

#[test]
fn a_dropped_read_keeps_its_buffer_until_the_kernel_has_released_it() {
    let _alone = alone();
    let directory = Directory::new("dropped-reads");
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
    let _alone = alone();
    let directory = Directory::new("dropped-writes");
    let path = directory.file("file", vec![0; LARGEST]);
    let pool = Pool::new(64);
    run(async || {
        let file = append(&path);
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
    let _alone = alone();
    let directory = Directory::new("dropped-syncs");
    let path = directory.file("file", "content");
    run(async || {
        let file = append(&path);
        for polls in STAGES {
            drop(times(polls, file.sync_all()).await);
            drop(times(polls, file.sync_data()).await);
        }
        file.sync_all().await.unwrap();
    });
}

#[test]
fn a_dropped_file_is_closed_when_its_last_operation_has_completed() {
    let _alone = alone();
    let directory = Directory::new("dropped-files");
    let path = directory.file("file", vec![0; LARGEST]);
    let before = open();
    run(async || {
        for polls in STAGES {
            let file = append(&path);
            drop(times(polls, file.write_at(vec![1; LARGEST], 0)).await);
            drop(file);
        }
    });
    assert_back_to(before);
}

#[test]
fn a_runtime_dropped_with_operations_in_flight_leaves_nothing() {
    let _alone = alone();
    let directory = Directory::new("teardown");
    let path = directory.file("file", vec![0x5a; LARGEST]);
    let pool = Pool::new(16);
    let before = open();
    bounded(|| {
        let runtime = runtime();
        let file = runtime.block_on(async {
            let file = append(&path);
            for _ in 0..4 {
                // Polled once, they are in the queue, and then in the kernel.
                let mut read = Box::pin(file.read_at(pool.take(LARGEST), 0));
                let mut write = Box::pin(file.write_at(pool.filled(LARGEST, 0x5a), 0));
                assert!(once(read.as_mut()).await.is_pending());
                assert!(once(write.as_mut()).await.is_pending());
                assert!(once(pin!(file.sync_all())).await.is_pending());
                assert!(once(pin!(File::open(&path))).await.is_pending());
                drop((read, write));
            }
            file
        });
        drop(runtime);
        assert_eq!(pool.alive(), 0, "the kernel has released the buffers");
        drop(file);
    });
    pool.verify();
    assert_back_to(before);
}

/// It waits for a reader on a kernel worker, which a cancel interrupts, but does not take off it.
#[test]
fn a_dropped_open_of_a_pipe_without_a_reader_ends() {
    let _alone = alone();
    let directory = Directory::new("dropped-pipes");
    let pipe = directory.pipe("pipe");
    let before = open();
    run(async || {
        for polls in STAGES {
            for _ in 0..50 {
                drop(times(polls, File::create(&pipe)).await);
            }
        }
        // The bell's poll stays.
        until(|| annulus::metrics().in_kernel <= 1).await;
    });
    assert_back_to(before);
}

#[test]
fn a_runtime_ends_while_an_open_and_a_read_of_a_pipe_wait() {
    let _alone = alone();
    let directory = Directory::new("pipes");
    let pipe = directory.pipe("pipe");
    let pool = Pool::new(4);
    let before = open();
    bounded(|| {
        let runtime = runtime();
        let writer = runtime.block_on(async {
            let (empty, writer) = std::io::pipe().unwrap();
            let file = File::from_std(std::os::fd::OwnedFd::from(empty).into());
            let buffer = pool.take(LARGEST);
            drop(annulus::spawn(async move { file.read_at(buffer, 0).await }));
            drop(annulus::spawn(File::create(pipe.clone())));
            yield_times(10).await;
            writer
        });
        drop(runtime);
        assert_eq!(pool.alive(), 0, "the kernel has released the buffer");
        drop(writer);
    });
    pool.verify();
    assert_back_to(before);
}

#[test]
fn a_forgotten_read_keeps_its_buffer_for_ever() {
    let _alone = alone();
    let directory = Directory::new("forgotten");
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
