//! The length of a file, its space, and advice on its use.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::process;

use annulus::fs::{Advice, AllocateMode, File};
use annulus::raw_os_error;

use crate::common::child::isolated;
use crate::common::directory::Directory;
use crate::common::memory::{LARGEST, Pool};
use crate::common::poll::times;
use crate::common::seccomp::{Lacking, lacking};
use crate::common::skip::skip;
use crate::{STAGES, run, this_test, writable};

/// A kernel that cannot change a length on the ring. A ring for one thread alone could not be asked
/// for its operations by the thread that simulates the kernel.
const NO_FTRUNCATE: Lacking = Lacking { flags: 3 << 12, operation: Some(55) };

async fn lengths_are_set() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    let file = writable(&path);
    file.set_len(4).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"0123");
    file.set_len(6).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"0123\0\0");
    file.set_len(0).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    for beyond in [1 << 63, u64::MAX] {
        assert_eq!(file.set_len(beyond).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let reader = File::open(&path).await.unwrap();
    let error = reader.set_len(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("ftruncate: "), "{error}");
}

#[test]
fn the_length_of_a_file_is_set() {
    run(lengths_are_set);
}

/// Runs a test where the kernel has no operation for lengths. In a process of its own, which ends
/// with the test: the threads of the pool would keep the simulation for as long as they are idle.
fn without_the_operation(test: &str, body: impl FnOnce() + Send + 'static) {
    isolated(test, || {
        lacking(NO_FTRUNCATE, || {
            body();
            process::exit(0);
        });
    });
}

#[test]
fn the_length_of_a_file_is_set_on_a_thread_where_the_kernel_has_no_operation_for_it() {
    without_the_operation(this_test!(), || run(lengths_are_set));
}

/// The dropped write would make the file longer again.
async fn lengths_wait_for_dropped_writes() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    let pool = Pool::new(64);
    let file = writable(&path);
    for polls in STAGES {
        drop(times(polls, file.write_at(pool.filled(LARGEST, 0x5a), 0)).await);
        file.set_len(3).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 3, "after {polls} polls");
        // The same with the change of the length itself.
        drop(times(polls, file.set_len(10)).await);
        assert!([3, 10].contains(&file.metadata().await.unwrap().len()));
        drop(times(polls, file.set_len(10)).await);
        file.set_len(3).await.unwrap();
        annulus::yield_now().await;
        assert_eq!(fs::metadata(&path).unwrap().len(), 3, "after {polls} polls");
    }
    pool.verify();
}

#[test]
fn a_change_of_the_length_waits_for_dropped_writes_and_dropped_changes() {
    run(lengths_wait_for_dropped_writes);
}

#[test]
fn a_change_of_the_length_waits_for_a_dropped_change_on_a_thread() {
    without_the_operation(this_test!(), || run(lengths_wait_for_dropped_writes));
}

#[test]
fn space_is_reserved_released_and_moved_as_the_mode_says() {
    let directory = Directory::new();
    let path = directory.file("file", vec![7; 3 * 4096]);
    run(async || {
        let file = writable(&path);
        let length = || fs::metadata(&path).unwrap().len();
        for (mode, expected) in [
            (AllocateMode::KeepSize, 3),
            (AllocateMode::ZeroRangeKeepSize, 3),
            (AllocateMode::PunchHole, 3),
            (AllocateMode::Extend, 5),
            (AllocateMode::ZeroRange, 5),
        ] {
            match file.allocate_with(mode, 4 * 4096, 4096).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    skip(&format!("the file system of temporary files has no {mode:?}"));
                    file.set_len(expected * 4096).await.unwrap();
                }
                result => result.unwrap(),
            }
            assert_eq!(length(), expected * 4096, "{mode:?}");
        }
        file.allocate(0, 6 * 4096).await.unwrap();
        assert_eq!(length(), 6 * 4096);
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 6 * 4096);
        if file.allocate_with(AllocateMode::PunchHole, 4096, 4096).await.is_ok() {
            let content = fs::read(&path).unwrap();
            assert_eq!(content[..3 * 4096], [[7; 4096], [0; 4096], [7; 4096]].concat());
        }
        if file.allocate_with(AllocateMode::CollapseRange, 4096, 4096).await.is_ok() {
            assert_eq!(length(), 5 * 4096);
            assert_eq!(fs::read(&path).unwrap()[..2 * 4096], [7; 2 * 4096]);
            file.allocate_with(AllocateMode::InsertRange, 4096, 4096).await.unwrap();
            assert_eq!(length(), 6 * 4096);
        }
    });
}

#[test]
fn an_allocation_that_is_not_possible_says_so() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        for (offset, length) in [(0, 0), (1 << 63, 1), (0, 1 << 63), (u64::MAX, u64::MAX)] {
            let error = file.allocate(offset, length).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset} {length}");
        }
        let most = i64::MAX as u64;
        assert_eq!(file.allocate(most, most).await.unwrap_err().kind(), ErrorKind::FileTooLarge);
        let reader = File::open(&path).await.unwrap();
        let error = reader.allocate(0, 1).await.unwrap_err();
        assert_eq!(raw_os_error(&error), Some(libc::EBADF));
        assert_eq!(fs::read(&path).unwrap(), b"content");
    });
}

#[test]
fn advice_is_taken_for_every_range() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = File::open(&path).await.unwrap();
        for advice in [
            Advice::Normal,
            Advice::Sequential,
            Advice::Random,
            Advice::WillNeed,
            Advice::DontNeed,
            Advice::NoReuse,
        ] {
            // The last takes three SQEs.
            for length in [None, Some(0), Some(1), Some(5 << 30)] {
                file.advise(advice, 0, length).await.unwrap();
            }
        }
        for (offset, length) in [(1 << 63, None), (1, Some(i64::MAX as u64)), (2, Some(u64::MAX))] {
            let error = file.advise(Advice::Normal, offset, length).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let (pipe, _writer) = std::io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
        let error = pipe.advise(Advice::Normal, 0, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSeekable);
    });
}
