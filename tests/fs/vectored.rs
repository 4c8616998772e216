//! Reads and writes of several buffers at an offset.

use std::fs;
use std::io::ErrorKind;

use annulus::buf::{BufResult, IoBuf, Slice};
use annulus::fs::File;

use crate::common::directory::Directory;
use crate::common::memory::{LARGEST, Pool};
use crate::common::poll::times;
use crate::{STAGES, run, writable};

#[test]
fn a_vectored_transfer_uses_its_buffers_in_order_and_sets_what_was_read() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        let file = writable(&path);
        let BufResult(count, parts) = file.write_vectored_at(vec!["ab", "", "cde"], 1).await;
        assert_eq!((count.unwrap(), parts), (5, vec!["ab", "", "cde"]));
        let room = |bytes: usize| b"..".to_vec().slice(1..1 + bytes);
        let BufResult(count, parts) =
            file.read_vectored_at(vec![room(1), room(0), room(1)], 2).await;
        assert_eq!(count.unwrap(), 2);
        let parts: Vec<_> = parts.into_iter().map(Slice::into_inner).collect();
        assert_eq!(parts, [&b".b"[..], &b".."[..], &b".c"[..]]);
        // The file ends within the second.
        let parts = vec![vec![7; 4], vec![7; 4], vec![7; 4]];
        let BufResult(count, parts) = file.read_vectored_at(parts, 4).await;
        assert_eq!((count.unwrap(), parts), (6, vec![b"de67".to_vec(), b"89".to_vec(), vec![]]));
    });
    assert_eq!(fs::read(&path).unwrap(), b"0abcde6789");
}

/// The kernel takes 1024 at a time.
#[test]
fn all_of_three_thousand_buffers_are_written_and_read() {
    const COUNT: usize = 3000;
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let file = writable(&path);
        let parts: Vec<_> = (0..COUNT).map(|number| format!("{number:05}")).collect();
        let BufResult(result, parts) = file.write_all_vectored_at(parts, 0).await;
        result.unwrap();
        assert_eq!(fs::read(&path).unwrap(), parts.concat().as_bytes());
        let room = || (0..COUNT).map(|_| vec![0; 5].into_boxed_slice()).collect::<Vec<_>>();
        let BufResult(result, read) = file.read_exact_vectored_at(room(), 0).await;
        result.unwrap();
        assert!(read.iter().zip(&parts).all(|(read, part)| **read == *part.as_bytes()));
        let BufResult(count, _) = file.read_vectored_at(room(), 0).await;
        assert_eq!(count.unwrap(), 1024 * 5, "one call of the kernel");
        // There is less than is asked for.
        let BufResult(result, read) = file.read_exact_vectored_at(room(), 5).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("5 bytes before the end"), "{error}");
        assert_eq!(*read[COUNT - 2], *b"02999");
    });
}

#[test]
fn a_failed_vectored_transfer_returns_its_error_and_its_buffers() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = File::open(&path).await.unwrap();
        let BufResult(result, parts) = file.write_all_vectored_at(vec!["a", "b"], 0).await;
        assert_eq!(annulus::raw_os_error(&result.unwrap_err()), Some(9), "EBADF");
        assert_eq!(parts, ["a", "b"]);
        let BufResult(result, parts) = file.read_vectored_at(vec![vec![7]], u64::MAX).await;
        assert_eq!((result.unwrap_err().kind(), parts), (ErrorKind::InvalidInput, vec![vec![7]]));
        let BufResult(count, _) = file.write_vectored_at(Vec::<String>::new(), 0).await;
        assert_eq!(count.unwrap(), 0, "nothing to write needs no kernel");
    });
}

#[test]
fn a_dropped_vectored_transfer_keeps_its_buffers_until_the_kernel_has_released_them() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0x5a; 4 * LARGEST]);
    let pool = Pool::new(64);
    run(async || {
        let file = writable(&path);
        for polls in STAGES {
            for _ in 0..4 {
                let parts = (0..3).map(|_| pool.take(LARGEST)).collect();
                drop(times(polls, file.read_vectored_at(parts, 0)).await);
                let parts = (0..3).map(|_| pool.filled(LARGEST, 0x5a)).collect();
                drop(times(polls, file.write_all_vectored_at(parts, 0)).await);
                pool.verify();
            }
            file.sync_data().await.unwrap();
        }
    });
    assert_eq!(pool.alive(), 0);
    pool.verify();
    assert!(fs::read(&path).unwrap().iter().all(|&byte| byte == 0x5a));
}
