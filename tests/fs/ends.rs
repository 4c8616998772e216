//! How a file leaves its owner: closed, cloned, taken out of the runtime, or given a name.

use std::fs;
use std::io::{ErrorKind, Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};

use annulus::buf::BufResult;
use annulus::fs::{File, OpenOptions};

use crate::common::directory::Directory;
use crate::common::memory::{LARGEST, Pool};
use crate::common::poll::{once, times};
use crate::common::skip::skip;
use crate::{STAGES, run, writable};

#[test]
fn a_file_is_closed_after_its_dropped_writes() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0; LARGEST]);
    let pool = Pool::new(16);
    run(async || {
        for polls in STAGES {
            let file = writable(&path);
            let link = format!("/proc/self/fd/{}", file.as_raw_fd());
            assert_eq!(fs::read_link(&link).unwrap(), path);
            drop(times(polls, file.write_at(pool.filled(LARGEST, 7), 0)).await);
            file.close().await.unwrap();
            assert_eq!(pool.alive(), 0, "no write is in the kernel any more");
            // Another test may have the number now.
            assert!(fs::read_link(&link).ok().is_none_or(|now| now != path));
        }
    });
    pool.verify();
}

#[test]
fn a_file_that_others_use_is_closed_by_the_last_of_them() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        let file = File::open(&path).await.unwrap();
        let clone = file.try_clone().unwrap();
        let read = file.read_at(vec![0; 4], 2);
        file.close().await.unwrap();
        let BufResult(count, buffer) = read.await;
        assert_eq!((count.unwrap(), &*buffer), (4, &b"2345"[..]));
        assert_eq!(clone.read_at(vec![0; 4], 0).await.0.unwrap(), 4);
        clone.close().await.unwrap();
    });
}

#[test]
fn a_clone_has_a_cursor_of_its_own_that_begins_where_the_other_is() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        let mut file = File::open(&path).await.unwrap();
        file.read_exact(vec![0; 3]).await.0.unwrap();
        let mut clone = file.try_clone().unwrap();
        assert_eq!(clone.read_exact(vec![0; 2]).await.1, b"34");
        assert_eq!(file.read_exact(vec![0; 4]).await.1, b"3456");
        assert_eq!(clone.stream_position().unwrap(), 5);
    });
}

#[test]
fn a_dropped_write_of_a_clone_is_waited_for() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0; LARGEST]);
    let pool = Pool::new(16);
    run(async || {
        let file = writable(&path);
        let clone = file.try_clone().unwrap();
        drop(times(2, clone.write_at(pool.filled(LARGEST, 7), 0)).await);
        drop(clone);
        file.read_at(vec![0; 1], 0).await.0.unwrap();
        assert_eq!(pool.alive(), 0, "no write is in the kernel any more");
    });
    pool.verify();
}

/// How many bytes are in a pipe.
fn unread(pipe: &impl AsRawFd) -> libc::c_int {
    let mut count = 0;
    // SAFETY: the call writes one number.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    assert_eq!(result, 0, "FIONREAD");
    count
}

#[test]
fn a_file_leaves_the_runtime_with_its_cursor_and_after_its_dropped_operations() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        for polls in STAGES {
            let mut file = writable(&path);
            assert_eq!(file.read_exact(vec![0; 4]).await.1, b"0123");
            drop(times(polls, file.write_at(vec![b'x'; 2], 4)).await);
            let clone = file.try_clone().unwrap();
            let mut std = if polls % 2 == 0 {
                drop(clone);
                file.into_std().await.unwrap()
            } else {
                clone.into_std().await.unwrap()
            };
            assert_eq!(std.stream_position().unwrap(), 4);
            let mut rest = Vec::new();
            std.read_to_end(&mut rest).unwrap();
            assert!([b"456789", b"xx6789"].contains(&rest.as_slice().try_into().unwrap()));
        }
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut pipe = File::from(OwnedFd::from(reader));
        std::io::Write::write_all(&mut writer, b"text").unwrap();
        {
            let mut read = std::pin::pin!(pipe.read(vec![0; 4]));
            assert!(once(read.as_mut()).await.is_pending());
            // Linux 6.1 reads a pipe on a worker: it is over when the pipe is empty.
            while unread(&writer) > 0 {
                annulus::yield_now().await;
            }
        }
        let error = pipe.into_std().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other, "bytes would be lost: {error}");
    });
}

#[test]
fn a_file_without_a_name_is_given_one_that_is_free() {
    let directory = Directory::new();
    let (path, taken) = (directory.join("named"), directory.file("taken", "old"));
    run(async || {
        let mut options = OpenOptions::new();
        options.write(true).temporary(true);
        let file = match options.open(directory.path()).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                return skip("the file system has no files without a name");
            }
            opened => opened.unwrap(),
        };
        drop(times(2, file.write_at("content", 0)).await);
        file.write_all_at("content", 0).await.0.unwrap();
        assert_eq!(file.link_at(&taken).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        file.link_at(&path).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        let error = file.link_at("zero\0byte").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
    assert_eq!(fs::read(taken).unwrap(), b"old");
}
