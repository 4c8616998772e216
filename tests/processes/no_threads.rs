//! When the system starts no thread, as in a container at its limit of processes, the caller who
//! needs one gets an error. Each test runs in a process of its own, since an idle thread of the
//! process's pool would do.

use std::io;
use std::time::Duration;

use annulus::Incident;
use annulus::blocking::{ThreadError, ThreadPool, to_thread};
use annulus::net::{StreamReader, StreamWriter, TcpListener, TcpStream, lookup, start_server};
use futures_util::FutureExt;

use crate::common::child::isolated;
use crate::common::incidents::Incidents;
use crate::common::seccomp::without_threads;
use crate::this_test;

fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[test]
fn a_closure_without_a_thread_gives_an_error_and_has_not_run() {
    isolated(this_test!(), || {
        without_threads(|| {
            annulus::run(async {
                for pool in [None, Some(ThreadPool::new(3, Duration::from_secs(1)))] {
                    let closure = || unreachable!("there is no thread for it");
                    let handle = match &pool {
                        None => to_thread(closure),
                        Some(pool) => pool.spawn(closure),
                    };
                    assert!(handle.is_finished());
                    let error: ThreadError = handle.await.map(|never: ()| never).unwrap_err();
                    assert!(matches!(&error, ThreadError::NotStarted(error) if is_refused(error)));
                    assert!(is_refused(&error.into()));
                    assert!(pool.is_none_or(|pool| pool.threads() == 0));
                }
            })
            .unwrap();
        });
    });
}

#[test]
fn a_detached_closure_without_a_thread_is_an_incident() {
    isolated(this_test!(), || {
        let incidents = Incidents::default();
        let its = incidents.clone();
        without_threads(move || {
            its.runtime().block_on(async { drop(to_thread(|| ())) });
        });
        let incidents = incidents.take();
        let [Incident::ThreadNotStarted { spawned_at, message }] = &incidents[..] else {
            panic!("{incidents:?}")
        };
        assert_eq!(spawned_at.file(), file!());
        assert!(message.contains("os error"), "{message}");
    });
}

#[test]
fn names_cannot_be_looked_up_without_threads_and_that_is_an_error() {
    isolated(this_test!(), || {
        without_threads(|| {
            annulus::run(async {
                let refused = |name: &str, error: io::Error| {
                    assert!(is_refused(&error), "{name}: {error:?}");
                };
                refused("lookup", lookup("localhost:80").await.unwrap_err());
                refused("connect", TcpStream::connect("localhost:80").await.unwrap_err());
                refused("bind", TcpListener::bind("localhost:0").await.unwrap_err());
                let handler = async |_: StreamReader, _: StreamWriter| {};
                let server = start_server(handler, "localhost:0").boxed_local();
                refused("start_server", server.await.unwrap_err());
            })
            .unwrap();
        });
    });
}
