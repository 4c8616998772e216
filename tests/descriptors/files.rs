//! Files: no descriptor is left when a future is dropped at each stage (before it is submitted, in
//! the queue, in the kernel, completed), or when the runtime is.

use std::fs::OpenOptions;
use std::io::SeekFrom;
use std::path::Path;
use std::pin::pin;

use crate::common::bounded::bounded;
use crate::common::descriptors::{alone, assert_back_to, open};
use crate::common::directory::Directory;
use crate::common::memory::{LARGEST, Pool};
use crate::common::patience::limit;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::random::seeded;
use annulus::Runtime;
use annulus::fs::File;

/// How often a future that is dropped is polled: from never to completed.
const STAGES: std::ops::Range<usize> = 0..6;

fn run<T>(test: impl AsyncFnOnce() -> T) -> T {
    bounded(|| runtime().block_on(test()))
}

/// One poll a turn: so a test decides how far the kernel has come. The end waits for a disk that is
/// busy elsewhere.
fn runtime() -> Runtime {
    Runtime::builder().max_polls_per_turn(1).teardown_timeout(limit()).build().unwrap()
}

fn writable(path: &Path) -> File {
    File::from_std(OpenOptions::new().read(true).write(true).open(path).unwrap())
}

#[test]
fn a_dropped_open_closes_what_it_has_opened() {
    let _alone = alone();
    let directory = Directory::new();
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
fn a_dropped_file_is_closed_when_its_last_operation_has_completed() {
    let _alone = alone();
    let directory = Directory::new();
    let path = directory.file("file", vec![0; LARGEST]);
    let before = open();
    run(async || {
        for polls in STAGES {
            let file = writable(&path);
            drop(times(polls, file.write_at(vec![1; LARGEST], 0)).await);
            drop(file);
        }
    });
    assert_back_to(before);
}

#[test]
fn a_runtime_dropped_with_operations_in_flight_leaves_nothing() {
    let _alone = alone();
    let directory = Directory::new();
    let path = directory.file("file", vec![0x5a; LARGEST]);
    let pool = Pool::new(16);
    let before = open();
    bounded(|| {
        let runtime = runtime();
        let file = runtime.block_on(async {
            let file = writable(&path);
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

#[test]
fn a_dropped_open_of_a_pipe_without_a_reader_ends() {
    let _alone = alone();
    let directory = Directory::new();
    let pipe = directory.fifo("pipe");
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
    let directory = Directory::new();
    let pipe = directory.fifo("pipe");
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

/// Whatever opens, duplicates or closes a descriptor, dropped after a random number of polls.
#[test]
fn no_operation_that_is_dropped_leaves_a_descriptor_of_a_file() {
    let _alone = alone();
    let directory = Directory::new();
    let path = directory.file("file", "content");
    let before = open();
    let mut random = seeded();
    run(async || {
        for round in 0..300 {
            let polls = random.usize(STAGES);
            match random.u32(..8) {
                0 => drop(times(polls, File::open(&path)).await),
                1 => drop(times(polls, File::create_new(directory.join(round.to_string()))).await),
                2 => {
                    let mut options = File::options();
                    let options = options.write(true).temporary(true);
                    drop(times(polls, options.open(directory.path())).await);
                }
                3 => drop(times(polls, writable(&path).close()).await),
                4 => {
                    let file = writable(&path);
                    let clone = file.try_clone().unwrap();
                    drop(times(polls, clone.into_std()).await);
                    drop(times(polls, file.into_std()).await);
                }
                5 => drop(times(polls, writable(&path).lock()).await),
                6 => {
                    let mut file = writable(&path);
                    drop(times(polls, file.seek(SeekFrom::End(0))).await);
                }
                _ => {
                    let file = writable(&path);
                    drop(times(polls, file.link_at(directory.join("link"))).await);
                    let clone = file.try_clone().unwrap();
                    drop(times(polls, clone.close()).await);
                }
            }
        }
        // The bell's poll stays.
        until(|| annulus::metrics().in_kernel <= 1).await;
    });
    assert_back_to(before);
}
