//! Where a file, its file system or the process has room for no more.

use std::fs;
use std::io::ErrorKind;

use annulus::buf::BufResult;
use annulus::fs::File;
use annulus::raw_os_error;

use crate::common::child::isolated;
use crate::common::directory::Directory;
use crate::failures::on_small_disk;
use crate::{run, this_test, writable};

#[test]
fn a_full_disk_returns_the_buffer_does_not_move_the_cursor_and_takes_more_later() {
    let directory = Directory::new();
    on_small_disk(directory.path(), 0, || {
        run(async || {
            let mut file = File::create(directory.join("file")).await.unwrap();
            let BufResult(result, buffer) = file.write_all_at(vec![7; 1 << 20], 0).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
            assert_eq!(buffer.len(), 1 << 20);
            assert_eq!(
                file.append(vec![7; 9999]).await.0.unwrap_err().kind(),
                ErrorKind::StorageFull
            );
            let error = file.allocate(0, 1 << 20).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            file.write_all(vec![7; 1 << 20]).await.0.unwrap_err();
            assert_eq!(file.stream_position().unwrap(), 0);
            file.set_len(0).await.unwrap();
            file.write_all("text").await.0.unwrap();
            assert_eq!(file.stream_position().unwrap(), 4);
        });
    });
}

/// The descriptors of the process run out, and one that is closed serves the next open.
#[test]
fn ten_thousand_files_are_open_at_once_and_one_more_than_the_limit_is_an_error() {
    isolated(this_test!(), || {
        let wanted = 10_000;
        let limit = wanted + 100;
        let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the calls write and read one limit.
        let raised = unsafe {
            assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits), 0);
            limits.rlim_cur = limit as u64;
            limits.rlim_max = limits.rlim_max.max(limits.rlim_cur);
            libc::setrlimit(libc::RLIMIT_NOFILE, &limits) == 0
        };
        if !raised {
            return crate::common::skip::skip("the limit of descriptors cannot be raised");
        }
        let directory = Directory::new();
        let path = directory.file("file", "content");
        run(async || {
            let mut files = Vec::new();
            let error = loop {
                // Several at once, so that some fail beside some that succeed.
                let opens = (0..16).map(|_| File::open(&path));
                let outcomes = futures_util::future::join_all(opens).await;
                let (opened, failed): (Vec<_>, Vec<_>) =
                    outcomes.into_iter().partition(Result::is_ok);
                files.extend(opened.into_iter().map(Result::unwrap));
                if let Some(error) = failed.into_iter().find_map(Result::err) {
                    break error;
                }
            };
            assert_eq!(raw_os_error(&error), Some(libc::EMFILE));
            assert!(files.len() >= wanted, "{} files", files.len());
            for file in files.iter().step_by(997) {
                assert_eq!(file.read_at(vec![0; 7], 0).await.1, b"content");
            }
            files.pop();
            files.push(File::open(&path).await.unwrap());
            let error = File::open(&path).await.unwrap_err();
            assert_eq!(raw_os_error(&error), Some(libc::EMFILE));
            files.clear();
            drop(File::open(&path).await.unwrap());
        });
    });
}

#[test]
fn a_file_that_grows_beyond_the_limit_of_the_process_is_reported() {
    isolated(this_test!(), || {
        let directory = Directory::new();
        let path = directory.file("file", "");
        let limit = libc::rlimit { rlim_cur: 8192, rlim_max: 8192 };
        // SAFETY: the call reads one limit. Without the signal the write reports it.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
        }
        run(async || {
            let file = writable(&path);
            // The first step is short, the second fails.
            let BufResult(result, buffer) = file.write_all_at(vec![7; 16 << 10], 0).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::FileTooLarge);
            assert_eq!(buffer.len(), 16 << 10);
            assert_eq!(file.write_at(vec![7; 16 << 10], 0).await.0.unwrap(), 8192, "a short one");
            assert_eq!(file.append("text").await.0.unwrap_err().kind(), ErrorKind::FileTooLarge);
            assert_eq!(file.set_len(8193).await.unwrap_err().kind(), ErrorKind::FileTooLarge);
        });
    });
}

#[test]
fn a_transfer_at_the_largest_offset_fails_and_an_empty_one_does_nothing() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        let most = i64::MAX as u64;
        file.write_at("text", most).await.0.unwrap_err();
        file.write_all_at("text", most - 1).await.0.unwrap_err();
        assert_eq!(file.read_at(vec![0; 4], most - 4).await.0.unwrap_or(0), 0);
        assert_eq!(file.write_at("", 3).await.0.unwrap(), 0);
        file.write_all_at("", 100).await.0.unwrap();
        file.append("").await.0.unwrap();
        file.read_exact_at(Vec::new(), 100).await.0.unwrap();
        let BufResult(result, buffer) = file.read_exact_at(Box::new([0; 5]), 5).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(*buffer, *b"nt\0\0\0");
    });
    assert_eq!(fs::read(path).unwrap(), b"content");
}
