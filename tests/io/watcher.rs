//! Files and directories that are watched.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;

use annulus::Runtime;
use annulus::fs::{WatchEvent, WatchFor, WatchId, Watcher};
use futures_util::StreamExt;

use crate::common::poll::{once, times};
use crate::common::watchdog::{block_on, run};

/// A directory, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("annulus-watch-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An event in a few words.
fn shown(event: &WatchEvent) -> String {
    let name = |watched: &annulus::fs::Watched| {
        format!("{}{}", Path::new(watched.name()).display(), if watched.is_dir { "/" } else { "" })
    };
    match event {
        WatchEvent::Created(it) => format!("created {}", name(it)),
        WatchEvent::Modified(it) => format!("modified {}", name(it)),
        WatchEvent::Attributes(it) => format!("attributes {}", name(it)),
        WatchEvent::ClosedAfterWrite(it) => format!("closed {}", name(it)),
        WatchEvent::Moved { from, to } => format!("moved {} to {}", name(from), name(to)),
        WatchEvent::MovedAway(it) => format!("moved away {}", name(it)),
        WatchEvent::MovedHere(it) => format!("moved here {}", name(it)),
        WatchEvent::Deleted(it) => format!("deleted {}", name(it)),
        WatchEvent::SelfDeleted(_) => "self deleted".into(),
        WatchEvent::SelfMoved(_) => "self moved".into(),
        WatchEvent::Unwatched(_) => "unwatched".into(),
        WatchEvent::Overflow => "overflow".into(),
        other => format!("{other:?}"),
    }
}

async fn next(watcher: &mut Watcher) -> String {
    shown(&watcher.next().await.unwrap().unwrap())
}

/// The next events, which must be these.
#[track_caller]
fn assert_next(watcher: &mut Watcher, expected: &[&str]) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        for expected in expected {
            assert_eq!(next(watcher).await, *expected, "at {at}");
        }
    }
}

async fn watched(directory: &Directory, what: WatchFor) -> (Watcher, WatchId) {
    let watcher = Watcher::new().unwrap();
    let watch = watcher.watch(&directory.0, what).await.unwrap();
    (watcher, watch)
}

#[test]
fn each_change_of_a_directory_is_an_event_of_its_kind() {
    let directory = Directory::new("kinds");
    run(async {
        let (mut watcher, watch) = watched(&directory, WatchFor::CHANGES).await;
        fs::write(directory.path("file"), "content").unwrap();
        let Some(Ok(WatchEvent::Created(file))) = watcher.next().await else { panic!() };
        assert_eq!((file.watch, file.name, file.is_dir), (watch, Some("file".into()), false));
        assert_next(&mut watcher, &["modified file", "closed file"]).await;
        fs::create_dir(directory.path("sub")).unwrap();
        fs::rename(directory.path("file"), directory.path("renamed")).unwrap();
        fs::hard_link(directory.path("renamed"), directory.path("link")).unwrap();
        fs::remove_file(directory.path("link")).unwrap();
        fs::remove_dir(directory.path("sub")).unwrap();
        assert_next(&mut watcher, &["created sub/", "moved file to renamed"]).await;
        assert_next(&mut watcher, &["created link", "deleted link"]).await;
        assert_next(&mut watcher, &["deleted sub/"]).await;
        let away = directory.0.with_extension("away");
        fs::rename(&directory.0, &away).unwrap();
        assert_next(&mut watcher, &["self moved"]).await;
        fs::remove_dir_all(&away).unwrap();
        assert_next(&mut watcher, &["deleted renamed", "self deleted", "unwatched"]).await;
        assert_eq!(watcher.unwatch(watch).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_rename_between_two_watches_is_one_event_and_one_to_elsewhere_is_half() {
    let (from, to) = (Directory::new("from"), Directory::new("to"));
    let elsewhere = Directory::new("elsewhere");
    run(async {
        let (mut watcher, source) = watched(&from, WatchFor::MOVED).await;
        let target = watcher.watch(&to.0, WatchFor::MOVED).await.unwrap();
        assert_ne!(source, target);
        fs::write(from.path("a"), "").unwrap();
        fs::rename(from.path("a"), to.path("b")).unwrap();
        let Some(Ok(WatchEvent::Moved { from: old, to: new })) = watcher.next().await else {
            panic!("a rename is one event")
        };
        assert_eq!((old.watch, old.name()), (source, "a".as_ref()));
        assert_eq!((new.watch, new.name()), (target, "b".as_ref()));
        fs::rename(to.path("b"), elsewhere.path("b")).unwrap();
        assert_next(&mut watcher, &["moved away b"]).await;
        fs::rename(elsewhere.path("b"), from.path("c")).unwrap();
        fs::rename(from.path("c"), elsewhere.path("c")).unwrap();
        fs::rename(elsewhere.path("c"), from.path("d")).unwrap();
        assert_next(&mut watcher, &["moved here c", "moved away c", "moved here d"]).await;
    });
}

#[test]
fn files_that_are_moved_away_in_one_burst_wait_for_their_second_halves_together() {
    let (directory, elsewhere) = (Directory::new("burst-from"), Directory::new("burst-to"));
    run(async {
        let (mut watcher, _) = watched(&directory, WatchFor::MOVED).await;
        for number in 0..20 {
            let name = number.to_string();
            fs::write(directory.path(&name), "").unwrap();
            fs::rename(directory.path(&name), elsewhere.path(&name)).unwrap();
        }
        assert_next(&mut watcher, &["moved away 0"]).await;
        for number in 1..20 {
            let Poll::Ready(event) = once(pin!(watcher.next_event())).await else {
                panic!("event {number} waits anew")
            };
            assert_eq!(shown(&event.unwrap()), format!("moved away {number}"));
        }
    });
}

/// The race: the first half of a rename has been read, and the second comes while it is held. Here
/// the future is dropped, too.
#[test]
fn a_dropped_wait_for_an_event_loses_none() {
    let directory = Directory::new("dropped");
    let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
    block_on(&runtime, async {
        let (mut watcher, _) = watched(&directory, WatchFor::CREATED | WatchFor::MOVED).await;
        let elsewhere = directory.0.with_extension("elsewhere");
        for round in 0..24 {
            assert!(times(round % 4 + 1, watcher.next()).await.is_none());
            let file = directory.path(round.to_string());
            fs::write(&file, "").unwrap();
            fs::rename(&file, &elsewhere).unwrap();
            let mut events = Vec::new();
            while events.len() < 2 {
                annulus::yield_now().await;
                if let Some(event) = times(round % 3 + 1, watcher.next()).await {
                    events.push(shown(&event.unwrap().unwrap()));
                }
            }
            assert_eq!(events, [format!("created {round}"), format!("moved away {round}")]);
        }
        fs::remove_file(&elsewhere).unwrap();
    });
}

#[test]
fn a_burst_of_events_comes_whole_or_says_that_some_were_lost() {
    let directory = Directory::new("burst");
    run(async {
        let (mut watcher, _) = watched(&directory, WatchFor::MODIFIED).await;
        // The same event twice in a row would be one.
        let mut files = ["a", "b"].map(|name| File::create(directory.path(name)).unwrap());
        for index in 0..100_000 {
            files[index % 2].write_all(b"x").unwrap();
        }
        let (mut modified, mut is_lost) = (0, false);
        while !is_lost && modified < 100_000 {
            match next(&mut watcher).await.as_str() {
                "overflow" => is_lost = true,
                other => {
                    assert_eq!(other, if modified % 2 == 0 { "modified a" } else { "modified b" });
                    modified += 1;
                }
            }
        }
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let most: usize = most.trim().parse().unwrap();
        assert_eq!((modified, is_lost), (most.min(100_000), most < 100_000));
        // It goes on after that.
        files[0].write_all(b"x").unwrap();
        assert_next(&mut watcher, &["modified a"]).await;
    });
}

#[test]
fn the_longest_names_and_those_that_are_no_text_come_unchanged() {
    use std::os::unix::ffi::OsStringExt;
    let directory = Directory::new("names");
    run(async {
        let (mut watcher, _) = watched(&directory, WatchFor::CREATED).await;
        let names = [vec![b'n'; 255], b"\xff\xfe not text".to_vec(), b"x".to_vec()];
        for name in names.map(OsString::from_vec) {
            fs::write(directory.path(&name), "").unwrap();
            let Some(Ok(WatchEvent::Created(file))) = watcher.next().await else { panic!() };
            assert_eq!(file.name, Some(name));
        }
    });
}

#[test]
fn a_watch_ends_with_its_last_event_and_its_id_is_not_used_again() {
    let directory = Directory::new("unwatch");
    run(async {
        let (mut watcher, watch) = watched(&directory, WatchFor::CREATED).await;
        let again = watcher.watch(directory.path("."), WatchFor::DELETED).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::write(directory.path("before"), "").unwrap();
        watcher.unwatch(watch).unwrap();
        fs::write(directory.path("after"), "").unwrap();
        assert_next(&mut watcher, &["created before", "unwatched"]).await;
        assert_eq!(watcher.unwatch(watch).unwrap_err().kind(), ErrorKind::NotFound);
        let second = watcher.watch(&directory.0, WatchFor::DELETED).await.unwrap();
        assert_ne!(watch, second);
        fs::remove_file(directory.path("before")).unwrap();
        let Some(Ok(WatchEvent::Deleted(file))) = watcher.next().await else { panic!() };
        assert_eq!((file.watch, file.name()), (second, "before".as_ref()));
    });
}

#[test]
fn a_file_is_watched_itself_and_what_cannot_be_watched_is_an_error() {
    let directory = Directory::new("file");
    run(async {
        let watcher = Watcher::new().unwrap();
        let missing = watcher.watch(directory.path("missing"), WatchFor::CHANGES).await;
        let error = missing.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("missing"), "{error}");
        let file = directory.path("file");
        fs::write(&file, "").unwrap();
        let only = WatchFor::CHANGES | WatchFor::ONLY_DIRECTORY;
        let error = watcher.watch(&file, only).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        let error = watcher.watch("with\0zero", only).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);

        let mut watcher = watcher;
        watcher.watch(&file, WatchFor::MODIFIED).await.unwrap();
        fs::write(&file, "content").unwrap();
        let Some(Ok(WatchEvent::Modified(event))) = watcher.next().await else { panic!() };
        assert_eq!(event.name, None);
    });
}

/// The race: the future is dropped while the thread makes the watch, or before.
#[test]
fn an_abandoned_watch_is_removed() {
    let directory = Directory::new("abandoned");
    let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
    block_on(&runtime, async {
        for round in 0..20 {
            let mut watcher = Watcher::new().unwrap();
            {
                let mut watching = pin!(watcher.watch(&directory.0, WatchFor::CREATED));
                if let Poll::Ready(watch) = once(watching.as_mut()).await {
                    // The thread was faster.
                    watcher.unwatch(watch.unwrap()).unwrap();
                } else if round % 2 == 0 {
                    annulus::yield_now().await;
                }
            }
            // If it was made, it ends; else it never is. Then the directory can be watched again.
            let watch = loop {
                match watcher.watch(&directory.0, WatchFor::DELETED).await {
                    Ok(watch) => break watch,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
                }
            };
            let file = directory.path("file");
            fs::write(&file, "").unwrap();
            fs::remove_file(&file).unwrap();
            loop {
                match watcher.next().await.unwrap().unwrap() {
                    WatchEvent::Unwatched(other) => assert_ne!(other, watch),
                    WatchEvent::Deleted(file) => break assert_eq!(file.watch, watch),
                    // By the abandoned watch, before its end.
                    other => assert!(matches!(other, WatchEvent::Created(_)), "{other:?}"),
                }
            }
        }
    });
}
