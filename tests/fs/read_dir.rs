//! Listing directories.

use std::collections::BTreeSet;
use std::fs as std_fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;

use annulus::fs;
use annulus::time::sleep;
use futures_util::{FutureExt, StreamExt, TryStreamExt};

use crate::common::directory::Directory;
use crate::run;

#[test]
fn entries_tell_their_names_and_types_without_being_asked_for_more() {
    let directory = Directory::new();
    let file = directory.file("file", "content");
    std_fs::create_dir(directory.join("below")).unwrap();
    symlink("file", directory.join("link")).unwrap();
    run(async || {
        let mut entries = fs::read_dir(directory.path()).await.unwrap();
        let mut found = BTreeSet::new();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            let name = entry.file_name().into_string().unwrap();
            let file_type = entry.file_type().await.unwrap();
            assert_eq!(entry.metadata().await.unwrap().file_type(), file_type);
            assert_eq!(entry.path(), directory.join(&name));
            found.insert((name, format!("{file_type:?}")));
            if entry.path() == file {
                assert_eq!(entry.metadata().await.unwrap().len(), 7);
                assert_eq!(entry.metadata().await.unwrap().ino(), entry.ino());
            }
        }
        let expected = [("below", "directory"), ("file", "file"), ("link", "symbolic link")];
        let expected = expected.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
        assert_eq!(found, BTreeSet::from(expected));
        assert!(entries.next_entry().await.unwrap().is_none(), "it stays at its end");
    });
}

/// More than a thread reads at once: each is returned once, also if awaits of it are dropped.
#[test]
fn a_large_directory_is_listed_without_loss_while_awaits_are_dropped() {
    let directory = Directory::new();
    let names: BTreeSet<_> = (0..3000).map(|n| format!("a file with number {n:05}")).collect();
    for name in &names {
        directory.file(name, "");
    }
    run(async || {
        let mut entries = fs::read_dir(directory.path()).await.unwrap();
        let mut found = Vec::new();
        loop {
            // Dropped after one poll, if a thread reads.
            let entry = match entries.next_entry().now_or_never() {
                Some(entry) => entry.unwrap(),
                None => entries.next_entry().await.unwrap(),
            };
            let Some(entry) = entry else { break };
            found.push(entry.file_name().into_string().unwrap());
        }
        assert_eq!(found.len(), names.len());
        assert_eq!(BTreeSet::from_iter(found), names);
        let entries = fs::read_dir(directory.path()).await.unwrap();
        let count = entries.try_fold(0, async |count, _| Ok(count + 1)).await.unwrap();
        assert_eq!(count, names.len(), "as a stream");
    });
}

#[test]
fn an_entry_outlives_its_stream_and_its_name() {
    let directory = Directory::new();
    directory.file("file", "content");
    run(async || {
        let mut entries = fs::read_dir(directory.path()).await.unwrap();
        let entry = entries.next().await.unwrap().unwrap();
        drop(entries);
        // The directory is renamed, and the entry is looked up in it all the same.
        let moved = directory.path().with_extension("moved");
        std_fs::rename(directory.path(), &moved).unwrap();
        assert_eq!(entry.metadata().await.unwrap().len(), 7);
        std_fs::rename(&moved, directory.path()).unwrap();
        std_fs::remove_file(directory.join("file")).unwrap();
        assert_eq!(entry.metadata().await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_listing_of_what_is_no_directory_fails_when_it_is_opened() {
    let directory = Directory::new();
    let file = directory.file("file", "");
    run(async || {
        let error = fs::read_dir(&file).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        assert!(error.to_string().contains("read directory /"), "{error}");
        let error = fs::read_dir(directory.join("missing")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let mut empty = fs::read_dir({
            std_fs::create_dir(directory.join("empty")).unwrap();
            directory.join("empty")
        })
        .await
        .unwrap();
        std_fs::remove_dir(directory.join("empty")).unwrap();
        assert!(empty.next_entry().await.unwrap().is_none(), "it was removed meanwhile");
    });
}

/// A stream whose entries are there always: a task that reads it must not keep others waiting.
#[test]
fn a_listing_lets_other_tasks_run() {
    let directory = Directory::new();
    for n in 0..600 {
        directory.file(&n.to_string(), "");
    }
    run(async || {
        let entries = fs::read_dir(directory.path()).await.unwrap();
        let mut yields = 0;
        let mut count = std::pin::pin!(entries.count());
        let count = std::future::poll_fn(|context| {
            yields += 1;
            count.as_mut().poll(context)
        });
        assert_eq!(count.await, 600);
        assert!(yields > 600 / 128, "{yields} polls");
        sleep(std::time::Duration::ZERO).await;
    });
}
