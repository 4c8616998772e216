//! The file at the path of a Unix listener: who removes it, and who must not.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annulus::net::{
    ListenOptions, UnixListener, UnixSeqpacketListener, UnixStream, start_unix_server,
};
use annulus::{Shards, spawn};

use crate::common::poll::{times, until};
use crate::common::watchdog::run;

/// A path in a directory of its own, which is removed at the end.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("annulus-unix-file-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        Self(directory.join("socket"))
    }

    fn exists(&self) -> bool {
        self.0.symlink_metadata().is_ok()
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[test]
fn a_listener_that_is_closed_or_dropped_removes_its_file_and_the_path_is_free() {
    run(async {
        let path = SocketPath::new();
        for round in 0..6 {
            let listener = UnixListener::bind(&path.0).unwrap();
            if round % 2 == 0 {
                // An accept that is orphaned keeps the socket open for longer.
                assert!(times(2, listener.accept()).await.is_none());
            }
            assert!(path.exists());
            if round < 3 {
                drop(listener);
            } else {
                drop(listener.close().await);
            }
            assert!(!path.exists(), "round {round}");
        }
        let server = start_unix_server(async |_, _| {}, &path.0).unwrap();
        drop(UnixStream::connect(&path.0).await.unwrap());
        server.close();
        server.wait_closed().await;
        assert!(!path.exists());
        let task = spawn({
            let listener = UnixListener::bind(&path.0).unwrap();
            async move { listener.accept().await.map(drop) }
        });
        assert!(path.exists());
        task.cancel();
        assert!(task.await.is_err());
        until(|| !path.exists()).await;
        // One for messages does the same.
        let listener = UnixSeqpacketListener::bind(&path.0).unwrap();
        assert!(times(2, listener.accept()).await.is_none());
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists());
        drop(UnixSeqpacketListener::bind(&path.0).unwrap().close().await);
        assert!(!path.exists());
    });
    // And one that the end of the runtime drops.
    let path = SocketPath::new();
    run(async {
        let listener = UnixListener::bind(&path.0).unwrap();
        drop(spawn(async move { listener.accept().await.map(drop) }));
        assert!(path.exists());
    });
    assert!(!path.exists());
}

#[test]
fn what_has_replaced_the_file_of_a_listener_stays() {
    run(async {
        let path = SocketPath::new();
        for kind in 0..3 {
            let listener = UnixListener::bind(&path.0).unwrap();
            fs::remove_file(&path.0).unwrap();
            // While the first listener has the socket, its inode's number is not given again.
            let successor = match kind {
                0 => Some(UnixListener::bind(&path.0).unwrap()),
                1 => {
                    fs::write(&path.0, "precious").unwrap();
                    None
                }
                _ => {
                    std::os::unix::fs::symlink("/nowhere", &path.0).unwrap();
                    None
                }
            };
            drop(listener.close().await);
            assert!(path.exists(), "{kind}");
            match successor {
                Some(successor) => {
                    drop(UnixStream::connect(&path.0).await.unwrap());
                    drop(successor);
                    assert!(!path.exists(), "the successor removes its own");
                }
                None => fs::remove_file(&path.0).unwrap(),
            }
        }
    });
}

#[test]
fn the_file_stays_where_others_may_listen_on_or_it_is_wished_so() {
    run(async {
        let path = SocketPath::new();
        let address = SocketAddr::from_pathname(&path.0).unwrap();
        for case in 0..4 {
            let mut kept = None;
            match case {
                0 => {
                    let options = ListenOptions::new().unlink(false);
                    drop(UnixListener::bind_addr(&address, &options).unwrap());
                }
                1 => {
                    let own = net::UnixListener::bind(&path.0).unwrap();
                    drop(UnixListener::from_std(own).close().await);
                }
                2 => {
                    let listener = UnixListener::bind(&path.0).unwrap();
                    kept = Some(OwnedFd::from(listener.into_std().await.unwrap().0));
                }
                _ => {
                    let listener = UnixListener::bind(&path.0).unwrap();
                    kept = Some(listener.as_fd().try_clone_to_owned().unwrap());
                    drop(listener.close().await);
                }
            }
            assert!(path.exists(), "case {case}");
            if kept.is_some() {
                drop(net::UnixStream::connect(&path.0).unwrap());
            }
            fs::remove_file(&path.0).unwrap();
        }
    });
}

#[test]
fn the_last_of_the_shards_that_listen_at_a_path_removes_its_file() {
    let path = Arc::new(SocketPath::new());
    for drops in [false, true] {
        let (path, bound, closed) = (Arc::clone(&path), counter(), counter());
        let outcome = Shards::builder().count(3).pin(false).run(async move |shard| {
            let listener = UnixListener::bind(&path.0).unwrap();
            bound.fetch_add(1, Ordering::SeqCst);
            until(|| bound.load(Ordering::SeqCst) == 3).await;
            // One after the other.
            until(|| closed.load(Ordering::SeqCst) == shard.index()).await;
            assert!(path.exists(), "shard {}", shard.index());
            if drops {
                drop(listener);
            } else {
                drop(listener.close().await);
            }
            assert_eq!(path.exists(), shard.index() < 2, "shard {}", shard.index());
            closed.fetch_add(1, Ordering::SeqCst);
        });
        outcome.unwrap();
    }
}

fn counter() -> Arc<AtomicUsize> {
    Arc::default()
}
