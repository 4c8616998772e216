//! Directories: what is opened for a dropped future or stream is closed.

use std::fs as std_fs;

use annulus::fs::{self, Dir, TempFile};
use futures_util::FutureExt;

use crate::common::descriptors::{assert_back_to, counting, open};
use crate::common::directory::Directory;
use crate::common::poll::{times, until};
use annulus::Runtime;

fn run<T>(test: impl AsyncFnOnce() -> T) -> T {
    Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(test())
}

#[test]
fn dropped_opens_listings_and_copies_close_what_they_have_opened() {
    counting(|| {
        let directory = Directory::new();
        let file = directory.file("file", vec![7; 100_000]);
        std_fs::create_dir_all(directory.join("a/b")).unwrap();
        for n in 0..1200 {
            directory.file(&n.to_string(), "");
        }
        let before = open();
        run(async || {
            let dir = Dir::open(directory.path()).await.unwrap();
            for polls in 0..8 {
                for _ in 0..10 {
                    drop(times(polls, Dir::open(directory.path())).await);
                    drop(times(polls, dir.open_file("a/../file")).await);
                    drop(times(polls, dir.create_dir("a/b")).await);
                    drop(times(polls, dir.metadata("a/b")).await);
                    drop(times(polls, fs::read_dir(directory.path())).await);
                    drop(times(polls, fs::copy(&file, directory.join("copy"))).await);
                    drop(times(polls, fs::remove_dir_all(directory.join("missing"))).await);
                    drop(times(polls, TempFile::new_in(directory.path())).await);
                    // While a thread reads entries, and in the middle.
                    let mut entries = fs::read_dir(directory.path()).await.unwrap();
                    let _ = times(polls, entries.next_entry()).await;
                    let _ = entries.next_entry().now_or_never();
                }
            }
            // The bell's poll stays.
            until(|| annulus::metrics().in_kernel <= 1).await;
        });
        assert_back_to(before);
    });
}

#[test]
fn a_kept_entry_alone_keeps_its_directory_open() {
    counting(|| {
        let directory = Directory::new();
        directory.file("file", "");
        run(async || {
            let before = open();
            let mut entries = fs::read_dir(directory.path()).await.unwrap();
            let entry = entries.next_entry().await.unwrap().unwrap();
            drop(entries);
            assert_eq!(open(), before + 1);
            drop(entry);
            assert_eq!(open(), before);
        });
    });
}
