//! Forked children, and processes that exit inside of a task.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use annulus_compat::tokio::{Builder, beside};

use crate::common::bounded::bounded;
use crate::common::child::{command, isolated, role};
use crate::this_test;

#[test]
fn a_forked_child_starts_a_runtime_of_its_own() {
    isolated(this_test!(), || {
        let tokio = beside();
        let of_parent = tokio.handle().id();
        // SAFETY: the child runs code of this test only, which needs no other thread.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "{}", io::Error::last_os_error());
        if child == 0 {
            let body = || {
                let own = beside();
                assert_ne!(own.handle().id(), of_parent);
                // It neither waits for threads that are not there, nor ends the new use.
                drop(tokio);
                annulus::run(async { tokio::spawn(async {}).await.unwrap() }).unwrap();
            };
            let code = i32::from(catch_unwind(AssertUnwindSafe(body)).is_err());
            // SAFETY: ends the child without running what belongs to the parent.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: the call writes one status.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child has failed");
        annulus::run(async { tokio::spawn(async {}).await.unwrap() }).unwrap();
        assert_eq!(beside().handle().id(), of_parent);
    });
}

#[test]
fn a_process_that_exits_inside_of_a_task_does_not_wait_for_tokio() {
    if role().is_none() {
        let output = command(this_test!(), "child").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{text}");
        return;
    }
    bounded(|| {
        let forever = std::time::Duration::MAX;
        let _tokio = Builder::new().stop_timeout(forever).beside().unwrap();
        let (_end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel::<()>();
        drop(tokio::task::spawn_blocking(move || {
            begin.send(()).unwrap();
            let _ = ended.recv();
        }));
        begun.recv().unwrap();
        annulus::run(async {
            drop(beside());
            std::process::exit(7);
        })
        .unwrap()
    });
}
