//! Copying files.

use std::fs as std_fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::thread;

use annulus::fs;

use crate::common::directory::Directory;
use crate::common::poll::{times, until};
use crate::{STAGES, run};

#[test]
fn a_copy_has_the_content_and_the_permissions_and_nothing_of_the_old_target() {
    let directory = Directory::new();
    let target = directory.join("target");
    run(async || {
        // Of more than one piece at last.
        for size in [0, 1, 300_000, (8 << 20) + 5] {
            let content: Vec<u8> = (0..size).map(|at: u32| (at % 253) as u8).collect();
            let source = directory.file("source", &content);
            std_fs::set_permissions(&source, PermissionsExt::from_mode(0o751)).unwrap();
            assert_eq!(fs::copy(&source, &target).await.unwrap(), u64::from(size));
            assert!(std_fs::read(&target).unwrap() == content, "{size} bytes");
            assert_eq!(std_fs::metadata(&target).unwrap().mode() & 0o7777, 0o751);
            std_fs::write(&target, vec![1; 10_000_000]).unwrap();
        }
    });
}

/// The target is emptied first, and would be the source.
#[test]
fn a_file_is_not_copied_to_itself_by_whatever_name() {
    let directory = Directory::new();
    let source = directory.file("source", "content");
    let (hard, soft) = (directory.join("hard"), directory.join("soft"));
    std_fs::hard_link(&source, &hard).unwrap();
    symlink("source", &soft).unwrap();
    run(async || {
        for target in [&source, &hard, &soft] {
            for (from, to) in [(&source, target), (target, &source)] {
                let error = fs::copy(from, to).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.to_string().contains("the same file"), "{error}");
            }
        }
    });
    assert_eq!(std_fs::read(&source).unwrap(), b"content");
}

#[test]
fn a_copy_of_a_sparse_file_has_its_holes_and_its_length() {
    let directory = Directory::new();
    let (source, target) = (directory.join("source"), directory.join("target"));
    let file = std_fs::File::create(&source).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"middle", 50 << 20).unwrap();
    file.set_len(100 << 20).unwrap();
    run(async || assert_eq!(fs::copy(&source, &target).await.unwrap(), 100 << 20));
    let (from, to) = (file.metadata().unwrap(), std_fs::metadata(&target).unwrap());
    assert_eq!((to.len(), from.blocks() < 1000), (100 << 20, true));
    assert!(to.blocks() < 1000, "{} blocks, of {} in the source", to.blocks(), from.blocks());
    let copy = std_fs::File::open(&target).unwrap();
    let mut bytes = [1; 8];
    for (offset, expected) in [(0, b"begin\0\0\0"), (50 << 20, b"middle\0\0"), (70 << 20, &[0; 8])]
    {
        copy.read_exact_at(&mut bytes, offset).unwrap();
        assert_eq!(&bytes, expected);
    }
}

#[test]
fn a_file_that_says_it_is_empty_is_copied_to_its_end() {
    let directory = Directory::new();
    let target = directory.join("target");
    run(async || {
        let length = fs::copy("/proc/self/maps", &target).await.unwrap();
        let copy = std_fs::read(&target).unwrap();
        assert!(length > 500 && copy.len() as u64 == length, "{length} bytes");
    });
}

#[test]
fn a_source_that_is_no_file_is_refused_and_a_target_that_is_none_is_written_to() {
    let directory = Directory::new();
    let source = directory.file("source", vec![7; 1_000_000]);
    let fifo = directory.fifo("fifo");
    run(async || {
        let target = directory.join("target");
        for source in [&*fifo, directory.path(), "/dev/null".as_ref()] {
            let error = fs::copy(source, &target).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        assert!(!target.exists());
        let error = fs::copy(directory.join("missing"), &target).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = fs::copy(&source, directory.path()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let reader = thread::spawn({
            let fifo = fifo.clone();
            move || {
                let mut content = Vec::new();
                std_fs::File::open(fifo).unwrap().read_to_end(&mut content).unwrap();
                content.len()
            }
        });
        assert_eq!(fs::copy(&source, &fifo).await.unwrap(), 1_000_000);
        assert_eq!(reader.join().unwrap(), 1_000_000);
    });
}

#[test]
fn a_dropped_copy_stops_and_its_target_has_a_part() {
    let directory = Directory::new();
    let source = directory.file("source", vec![7; 64 << 20]);
    let target = directory.join("target");
    run(async || {
        for polls in STAGES {
            drop(times(polls, fs::copy(&source, &target)).await);
        }
        // It waits for nothing else: the target is as long as at the last look.
        let mut length = 0;
        until(|| {
            let last = length;
            length = std_fs::metadata(&target).map_or(0, |metadata| metadata.len());
            thread::sleep(std::time::Duration::from_millis(50));
            length == last
        })
        .await;
        assert!(length <= 16 << 20, "it stopped within two pieces, not after {length} bytes");
    });
}
