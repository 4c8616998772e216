//! Files as direct descriptors: they work as any others, their file slots are freed, and a full
//! table means ordinary descriptors.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::Path;

use annulus::buf::{BufResult, RegisteredBuffers};
use annulus::fs::{File, OpenOptions};
use annulus::metrics;

use crate::common::descriptors::{alone, open};
use crate::common::directory::Directory;
use crate::common::poll::{times, until};
use crate::direct_descriptors::{alone_with_file_slots, in_slots, with_file_slots};

async fn open_direct(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).direct_descriptor(true).open(path).await
}

#[test]
fn a_file_in_a_file_slot_takes_no_descriptor_until_a_call_needs_one() {
    with_file_slots(4, async || {
        let directory = Directory::new();
        let path = directory.file("file", "");
        let before = open();
        let file = open_direct(&path).await.unwrap();
        let held = before + in_slots(1);
        assert_eq!(open(), held);
        file.write_all_at("direct", 0).await.0.unwrap();
        file.write_all_vectored_at(vec!["ly", "!"], 6).await.0.unwrap();
        file.append("\n").await.0.unwrap();
        file.sync_data().await.unwrap();
        let buffers = RegisteredBuffers::new(1, 64).unwrap();
        let BufResult(count, buffer) = file.read_at(buffers.get().await, 0).await;
        assert_eq!((count.unwrap(), &*buffer), (10, &b"directly!\n"[..]));
        let BufResult(result, parts) = file.read_exact_vectored_at(vec![vec![0; 9]], 0).await;
        result.unwrap();
        assert_eq!(parts, [b"directly!"]);
        assert_eq!((open(), format!("{file:?}")), (held, "File { fd: None }".to_owned()));
        let fd = file.as_raw_fd();
        assert_eq!((open(), file.as_raw_fd()), (held + 1, fd));
        file.sync_all().await.unwrap();
        drop(file);
        until(|| open() == before).await;
    });
}

#[test]
fn a_file_that_finds_no_file_slot_gets_an_ordinary_descriptor() {
    with_file_slots(2, async || {
        let directory = Directory::new();
        let path = directory.file("file", "content");
        let before = open();
        let mut files = Vec::new();
        for _ in 0..4 {
            files.push(open_direct(&path).await.unwrap());
        }
        let held = before + 2 + in_slots(2);
        assert_eq!((metrics().direct_descriptor_misses, open()), (2, held));
        for file in &files {
            let BufResult(count, _) = file.read_at(vec![0; 7], 0).await;
            assert_eq!(count.unwrap(), 7);
        }
        drop(files);
        // A slot is free when the ring has closed it.
        for _ in 0..10 {
            until(|| metrics().queued == 0 && metrics().in_kernel <= 1).await;
            let _file = open_direct(&path).await.unwrap();
            assert_eq!((metrics().direct_descriptor_misses, open()), (2, before + in_slots(1)));
        }
        // And not all files take one.
        let direct = metrics().direct_descriptors;
        let _file = File::open(&path).await.unwrap();
        assert_eq!((metrics().direct_descriptors, open()), (direct, before + 1));
    });
}

/// The race: the future of an open is dropped while the kernel puts the file into its slot.
#[test]
fn a_direct_open_that_fails_or_is_dropped_frees_its_file_slot() {
    with_file_slots(2, async || {
        let directory = Directory::new();
        let (path, missing) = (directory.file("file", ""), directory.join("missing"));
        let before = open();
        for polls in (0..6).cycle().take(60) {
            drop(times(polls, open_direct(&path)).await);
            let error = open_direct(&missing).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains("missing"), "{error}");
            // What was dropped is cancelled, and then closed.
            while OpenOptions::new()
                .read(true)
                .direct_descriptor(true)
                .open(&path)
                .await
                .is_ok_and(|file| format!("{file:?}") != "File { fd: None }")
            {}
        }
        // The last of them, too, and perhaps on another thread.
        let _both = loop {
            let both = (open_direct(&path).await.unwrap(), open_direct(&path).await.unwrap());
            if format!("{both:?}").matches("None").count() == 2 {
                break both;
            }
        };
        until(|| open() == before + in_slots(2)).await;
    });
}

#[test]
fn a_file_in_a_file_slot_may_outlive_its_runtime() {
    let _alone = alone();
    let directory = Directory::new();
    let path = directory.file("file", "content");
    let mut kept = None;
    alone_with_file_slots(2, async || {
        let installed = open_direct(&path).await.unwrap();
        let _ = installed.as_raw_fd();
        drop(installed);
        kept = Some(open_direct(&path).await.unwrap());
    });
    drop(kept);
    assert_eq!(fs::read(&path).unwrap(), b"content");
}
