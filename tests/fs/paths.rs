//! What paths name: metadata, and what is created, removed, renamed and linked.

use std::ffi::OsStr;
use std::fs as std_fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::pin::pin;
use std::thread;
use std::time::{Duration, SystemTime};

use annulus::fs::{self, File, FileTimes, RenameOptions};
use annulus::join::gather;

use crate::common::directory::Directory;
use crate::common::poll::{once, times, until};
use crate::{STAGES, run, writable};

#[test]
fn metadata_is_what_the_standard_library_says() {
    let directory = Directory::new();
    let file = directory.file("file", vec![7; 5000]);
    std_fs::hard_link(&file, directory.join("second")).unwrap();
    run(async || {
        for path in [&*file, directory.path(), "/dev/null".as_ref()] {
            let (ours, theirs) =
                (fs::metadata(path).await.unwrap(), std_fs::metadata(path).unwrap());
            assert_eq!((ours.len(), ours.mode()), (theirs.len(), theirs.mode()));
            assert_eq!((ours.dev(), ours.ino()), (theirs.dev(), theirs.ino()));
            assert_eq!((ours.uid(), ours.gid()), (theirs.uid(), theirs.gid()));
            assert_eq!((ours.nlink(), ours.rdev()), (theirs.nlink(), theirs.rdev()));
            assert_eq!((ours.blocks(), ours.blksize()), (theirs.blocks(), theirs.blksize()));
            assert_eq!((ours.mtime(), ours.mtime_nsec()), (theirs.mtime(), theirs.mtime_nsec()));
            assert_eq!((ours.ctime(), ours.ctime_nsec()), (theirs.ctime(), theirs.ctime_nsec()));
            assert_eq!((ours.atime(), ours.atime_nsec()), (theirs.atime(), theirs.atime_nsec()));
            assert_eq!(ours.modified().unwrap(), theirs.modified().unwrap());
            assert_eq!(ours.accessed().unwrap(), theirs.accessed().unwrap());
            assert_eq!(ours.created().ok(), theirs.created().ok());
            assert_eq!(ours.permissions(), theirs.permissions());
            assert_eq!(ours.is_dir(), theirs.is_dir());
            assert_eq!(ours.is_file(), theirs.is_file());
        }
        assert!(fs::metadata("/dev/null").await.unwrap().file_type().is_char_device());
    });
}

#[test]
fn a_symbolic_link_is_followed_or_looked_at() {
    let directory = Directory::new();
    directory.file("file", "content");
    run(async || {
        let link = directory.join("link");
        fs::symlink("file", &link).await.unwrap();
        assert!(fs::metadata(&link).await.unwrap().is_file());
        assert!(fs::symlink_metadata(&link).await.unwrap().is_symlink());
        assert_eq!(fs::read_link(&link).await.unwrap().to_str(), Some("file"));
        assert_eq!(fs::read(&link).await.unwrap(), b"content");
        let file = std_fs::canonicalize(directory.join("file")).unwrap();
        assert_eq!(fs::canonicalize(&link).await.unwrap(), file);
        fs::remove_file(&link).await.unwrap();
        assert!(fs::try_exists(&file).await.unwrap(), "the link alone was removed");
        fs::symlink("nowhere", &link).await.unwrap();
        assert!(!fs::try_exists(&link).await.unwrap());
        let long = "n".repeat(1000);
        let chain = format!("{long}/{long}");
        fs::symlink(&chain, directory.join("long")).await.unwrap();
        let read = fs::read_link(directory.join("long")).await.unwrap();
        assert_eq!(read.to_str(), Some(&*chain));
    });
}

#[test]
fn metadata_and_permissions_and_times_of_an_open_file_are_its_own() {
    let directory = Directory::new();
    run(async || {
        let path = directory.join("file");
        let file = File::create(&path).await.unwrap();
        file.write_all_at("text", 0).await.0.unwrap();
        // It is no longer what the path names.
        std_fs::rename(&path, directory.join("other")).unwrap();
        std_fs::write(&path, "").unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 4);
        let mut permissions = file.metadata().await.unwrap().permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions.clone()).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().permissions(), permissions);
        let accessed = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 5);
        let modified = SystemTime::UNIX_EPOCH - Duration::new(100, 0);
        let both = FileTimes::new().set_accessed(accessed).set_modified(modified);
        file.set_times(both).await.unwrap();
        let metadata = std_fs::metadata(directory.join("other")).unwrap();
        assert_eq!(metadata.accessed().unwrap(), accessed);
        assert_eq!(metadata.modified().unwrap(), modified);
        assert_eq!(file.metadata().await.unwrap().modified().unwrap(), modified);
        file.set_modified(accessed).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().modified().unwrap(), accessed);
    });
}

#[test]
fn directories_are_created_alone_and_with_all_on_the_way() {
    let directory = Directory::new();
    let file = directory.file("file", "");
    run(async || {
        let one = directory.join("one");
        fs::create_dir(&one).await.unwrap();
        let error = fs::create_dir(&one).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let error = fs::create_dir(one.join("a/b")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("create directory /"), "{error}");
        // Several at once, as processes that start together do.
        let all = (0..8).map(|n| fs::create_dir_all(one.join(format!("a/b/c/d/{}", n % 2))));
        for created in gather(all).await {
            created.unwrap();
        }
        assert!(fs::metadata(one.join("a/b/c/d/1")).await.unwrap().is_dir());
        let error = fs::create_dir_all(file.join("below")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        let error = fs::create_dir_all(&file).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn a_rename_replaces_or_refuses_or_exchanges() {
    let directory = Directory::new();
    run(async || {
        let (a, b) = (directory.join("a"), directory.join("b"));
        let content = || (std_fs::read_to_string(&a).ok(), std_fs::read_to_string(&b).ok());
        let text = |text: &str| Some(text.to_owned());
        std_fs::write(&a, "1").unwrap();
        std_fs::write(&b, "2").unwrap();
        let error = fs::rename_with(&a, &b, RenameOptions::no_replace()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(content(), (text("1"), text("2")));
        fs::rename_with(&a, &b, RenameOptions::exchange()).await.unwrap();
        assert_eq!(content(), (text("2"), text("1")));
        fs::rename(&a, &b).await.unwrap();
        assert_eq!(content(), (None, text("2")));
        let error = fs::rename_with(&a, &b, RenameOptions::exchange()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        fs::rename_with(&b, &a, RenameOptions::no_replace()).await.unwrap();
        assert_eq!(content(), (text("2"), None));
        fs::hard_link(&a, &b).await.unwrap();
        assert_eq!(std_fs::metadata(&a).unwrap().nlink(), 2);
        let error = fs::hard_link(&a, &b).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn a_file_and_a_directory_are_removed_each_by_its_own_function() {
    let directory = Directory::new();
    let file = directory.file("file", "");
    run(async || {
        let below = directory.join("below");
        fs::create_dir(&below).await.unwrap();
        let error = fs::remove_dir(directory.path()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DirectoryNotEmpty);
        assert_eq!(fs::remove_file(&below).await.unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(fs::remove_dir(&file).await.unwrap_err().kind(), ErrorKind::NotADirectory);
        fs::remove_file(&file).await.unwrap();
        fs::remove_dir(&below).await.unwrap();
        assert_eq!(fs::remove_file(&file).await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_name_that_is_no_utf_8_is_a_name_and_one_with_a_zero_byte_is_none() {
    let directory = Directory::new();
    run(async || {
        let path = directory.join(OsStr::from_bytes(b"\xff\xfe name"));
        fs::write(&path, "text").await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"text");
        let renamed = directory.join(OsStr::from_bytes(b"\xc0"));
        fs::rename(&path, &renamed).await.unwrap();
        let mut entries = fs::read_dir(directory.path()).await.unwrap();
        let entry = entries.next_entry().await.unwrap().unwrap();
        assert_eq!(entry.path(), renamed);
        fs::remove_file(&renamed).await.unwrap();
        let zero = "a\0b";
        let errors = [
            fs::metadata(zero).await.unwrap_err(),
            fs::create_dir(zero).await.unwrap_err(),
            fs::create_dir_all(zero).await.unwrap_err(),
            fs::remove_file(zero).await.unwrap_err(),
            fs::remove_dir(zero).await.unwrap_err(),
            fs::remove_dir_all(zero).await.unwrap_err(),
            fs::rename(zero, "b").await.unwrap_err(),
            fs::rename("a", zero).await.unwrap_err(),
            fs::hard_link("a", zero).await.unwrap_err(),
            fs::symlink(zero, "b").await.unwrap_err(),
            fs::symlink("a", zero).await.unwrap_err(),
            fs::read_link(zero).await.unwrap_err(),
            fs::canonicalize(zero).await.unwrap_err(),
            fs::read_dir(zero).await.unwrap_err(),
            fs::copy(zero, "b").await.unwrap_err(),
            fs::Dir::open(zero).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains(r"a\0b") || error.to_string().contains("a\0b"));
        }
    });
}

/// It is done, or it is not; nothing else.
#[test]
fn a_dropped_change_leaves_the_directory_as_it_was_or_changed() {
    let directory = Directory::new();
    run(async || {
        for polls in STAGES {
            let name = |kind: &str| directory.join(format!("{kind}{polls}"));
            std_fs::write(name("old"), "text").unwrap();
            drop(times(polls, fs::create_dir(name("created"))).await);
            drop(times(polls, fs::rename(name("old"), name("new"))).await);
            drop(times(polls, fs::metadata(name("new"))).await);
            drop(times(polls, fs::symlink("text", name("link"))).await);
            // The bell's poll stays.
            until(|| annulus::metrics().in_kernel <= 1).await;
            assert_ne!(name("old").exists(), name("new").exists(), "dropped after {polls} polls");
        }
    });
}

/// The kernel has not begun the dropped write when the times are changed: if a thread did so now,
/// the write would change them again.
#[test]
fn a_change_of_the_times_waits_for_dropped_writes() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let found = || std_fs::metadata(&path).unwrap().modified().unwrap();
    run(async || {
        let file = writable(&path);
        for _ in 0..2 {
            assert!(times(1, file.write_at("text", 0)).await.is_none());
            let mut change = pin!(file.set_modified(time));
            assert!(once(change.as_mut()).await.is_pending());
            // The event loop submits nothing meanwhile.
            for _ in 0..20 {
                if found() == time {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
            change.await.unwrap();
            file.sync_data().await.unwrap();
            assert_eq!(found(), time);
            file.set_len(0).await.unwrap();
        }
    });
}
