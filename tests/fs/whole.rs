//! Whole files, read and written at once.

use std::io::ErrorKind;

use annulus::fs;

use crate::common::directory::Directory;
use crate::common::poll::times;
use crate::{STAGES, run};

#[test]
fn a_file_of_any_size_is_read_whole() {
    let directory = Directory::new();
    run(async || {
        // Around what is read at first, and at once.
        for size in [0, 1, 16_383, 16_384, 16_385, (1 << 20) + 16_384, 3_000_000] {
            let content: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
            let path = directory.file("file", &content);
            assert_eq!(fs::read(&path).await.unwrap(), content, "{size} bytes");
        }
    });
}

#[test]
fn a_file_that_says_it_is_empty_is_read_to_its_end() {
    run(async || {
        for path in ["/proc/self/maps", "/proc/self/status"] {
            assert_eq!(std::fs::metadata(path).unwrap().len(), 0);
            let text = fs::read_to_string(path).await.unwrap();
            // The kernel returns a page of it at a time, if as much.
            let end = if path.ends_with("maps") { "[stack]" } else { "nonvoluntary" };
            assert!(text.contains(end) && text.ends_with('\n'), "{} bytes", text.len());
        }
    });
}

#[test]
fn a_written_file_has_its_content_and_nothing_of_the_old_one() {
    let directory = Directory::new();
    let path = directory.file("file", vec![b'x'; 100_000]);
    run(async || {
        fs::write(&path, "short").await.unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "short");
        fs::write(&path, vec![7; 3_000_000]).await.unwrap();
        assert!(fs::read(&path).await.unwrap() == vec![7; 3_000_000]);
        fs::write(&path, "").await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"");
    });
}

#[test]
fn a_file_that_is_no_text_is_not_read_as_text() {
    let directory = Directory::new();
    let path = directory.file("file", b"\xff");
    run(async || {
        let error = fs::read_to_string(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(fs::read(directory.path()).await.unwrap_err().kind(), ErrorKind::IsADirectory);
        let error = fs::write(directory.path(), "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
    });
}

#[test]
fn a_dropped_write_leaves_a_part_of_the_new_content_or_the_old_one() {
    let directory = Directory::new();
    run(async || {
        for polls in STAGES {
            let path = directory.file("file", "old");
            drop(times(polls, fs::write(&path, "new content")).await);
            let content = fs::read_to_string(&path).await.unwrap();
            let is_expected = content == "old" || "new content".starts_with(&content);
            assert!(is_expected, "{content} after {polls} polls");
        }
    });
}
