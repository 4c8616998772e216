//! Temporary files and directories.

use std::fs as std_fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use annulus::fs::{TempDir, TempFile};
use annulus::{Runtime, spawn};

use crate::common::bounded::bounded;
use crate::common::directory::Directory;
use crate::common::poll::{once, times, until, yield_times};
use crate::{STAGES, run};

fn names(directory: &Directory) -> usize {
    std_fs::read_dir(directory.path()).unwrap().count()
}

#[test]
fn what_is_temporary_is_private_and_is_removed_when_it_is_dropped() {
    let directory = Directory::new();
    run(async || {
        let file = TempFile::new_in(directory.path()).await.unwrap();
        let below = TempDir::new_in(directory.path()).await.unwrap();
        assert!(file.path().is_absolute() && below.path().is_absolute());
        assert_eq!(std_fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std_fs::metadata(below.path()).unwrap().mode() & 0o777, 0o700);
        file.write_all_at("text", 0).await.0.unwrap();
        assert_eq!(std_fs::read(file.path()).unwrap(), b"text");
        std_fs::create_dir(below.path().join("inner")).unwrap();
        std_fs::write(below.path().join("inner/file"), "").unwrap();
        assert_eq!(names(&directory), 2);
        drop((file, below));
        until(|| names(&directory) == 0).await;
        let error = TempDir::new_in(directory.join("missing")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("create a temporary directory in /"), "{error}");
    });
}

/// The thread that removes it is not waited for by the drop, and the process may end right after.
#[test]
fn a_runtime_that_has_ended_has_removed_what_was_temporary() {
    let directory = Directory::new();
    for turns in 0..4 {
        run(async || {
            let file = TempFile::new_in(directory.path()).await.unwrap();
            let below = TempDir::new_in(directory.path()).await.unwrap();
            // They take longer to remove than the runtime takes to end.
            for n in 0..500 {
                std_fs::write(below.path().join(n.to_string()), "").unwrap();
            }
            drop((file, below));
            // The threads have been told to, or not yet.
            yield_times(turns).await;
        });
        assert_eq!(names(&directory), 0, "dropped {turns} turns before the end");
        bounded(|| {
            let runtime = Runtime::new().unwrap();
            let path: PathBuf = directory.path().into();
            runtime.block_on(async {
                let (begun, waits) = annulus::sync::oneshot::channel();
                spawn(async move {
                    let _both = (TempFile::new_in(&path).await, TempDir::new_in(&path).await);
                    let _ = begun.send(());
                    std::future::pending::<()>().await;
                });
                waits.await.unwrap();
            });
            assert_eq!(names(&directory), 2);
            drop(runtime);
        });
        assert_eq!(names(&directory), 0, "dropped with a task by the end");
    }
}

#[test]
fn what_is_temporary_is_removed_where_there_is_no_runtime() {
    let directory = Directory::new();
    let below = run(async || TempDir::new_in(directory.path()).await.unwrap());
    assert_eq!(names(&directory), 1);
    drop(below);
    assert_eq!(names(&directory), 0);
}

#[test]
fn a_persisted_file_replaces_another_or_not_and_a_kept_one_stays() {
    let directory = Directory::new();
    let target = directory.file("target", "old");
    run(async || {
        let file = TempFile::new_in(directory.path()).await.unwrap();
        file.write_all_at("new", 0).await.0.unwrap();
        let refused = file.persist_noclobber(&target).await.unwrap_err();
        assert_eq!(refused.error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std_fs::read(&target).unwrap(), b"old");
        let file = refused.file;
        assert!(file.path().exists(), "it is still temporary");
        let file = file.persist(&target).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 3);
        assert_eq!((std_fs::read(&target).unwrap(), names(&directory)), (b"new".to_vec(), 1));
        let (_file, path) = TempFile::new_in(directory.path()).await.unwrap().keep();
        let kept = TempDir::new_in(directory.path()).await.unwrap().keep();
        let closed = TempFile::new_in(directory.path()).await.unwrap();
        closed.close().await.unwrap();
        TempDir::new_in(directory.path()).await.unwrap().close().await.unwrap();
        let gone = TempDir::new_in(directory.path()).await.unwrap();
        std_fs::remove_dir(gone.path()).unwrap();
        assert_eq!(gone.close().await.unwrap_err().kind(), ErrorKind::NotFound);
        until(|| names(&directory) == 3).await;
        assert!(path.exists() && kept.exists());
    });
    assert_eq!(names(&directory), 3, "the end of the runtime removes neither");
}

/// The thread has created it, and no future takes it.
#[test]
fn a_dropped_creation_leaves_nothing_behind() {
    let directory = Directory::new();
    run(async || {
        for _ in 0..20 {
            let mut file = Box::pin(TempFile::new_in(directory.path()));
            // The thread may be so fast that it is ready at once.
            let created = once(file.as_mut()).await;
            until(|| names(&directory) == 1).await;
            drop((file, created));
            until(|| names(&directory) == 0).await;
            let mut below = Box::pin(TempDir::new_in(directory.path()));
            let created = once(below.as_mut()).await;
            until(|| names(&directory) == 1).await;
            drop((below, created));
            until(|| names(&directory) == 0).await;
        }
    });
}

/// The file has one of its two fates.
#[test]
fn a_dropped_persist_leaves_the_new_name_or_none() {
    let directory = Directory::new();
    run(async || {
        for polls in STAGES {
            let target = directory.join(format!("target {polls}"));
            let file = TempFile::new_in(directory.path()).await.unwrap();
            drop(times(polls, file.persist(&target)).await);
        }
        let is_target = |path: &Path| path.to_str().unwrap().contains("target");
        until(|| {
            let mut entries = std_fs::read_dir(directory.path()).unwrap();
            entries.all(|entry| is_target(&entry.unwrap().path()))
        })
        .await;
    });
}
