//! `Shutdown::on_signals`, beside all else that has to do with signals. Each test runs in a process
//! of its own.

use std::cell::Cell;
use std::future::pending;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use std::{mem, ptr, thread};

use annulus::signal::{ctrl_c, hangup, terminate};
use annulus::time::timeout;
use annulus::{Runtime, Shutdown, metrics, spawn, yield_now};
use libc::{SIGHUP, SIGINT, SIGTERM};

use crate::common::child::{self, isolated};
use crate::common::conditions::poll_once;
use crate::common::patience::limit;
use crate::common::poll::until;
use crate::common::program::Program;
use crate::common::watchdog::run;
use crate::this_test;

fn raise(signal: i32) {
    // SAFETY: the handlers of this process do only what handlers may.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

/// The handler that is installed for a signal.
fn installed(signal: i32) -> usize {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the call writes one `sigaction`.
    assert_eq!(unsafe { libc::sigaction(signal, ptr::null(), &mut action) }, 0);
    action.sa_sigaction
}

extern "C" fn does_nothing(_signal: libc::c_int) {}

fn install(signal: i32, handler: usize) {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler;
    // SAFETY: the handlers of this file do nothing.
    assert_eq!(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) }, 0);
}

/// What a child does: it says which level the shutdown has reached, and stays.
fn play_levels() {
    annulus::run(async {
        let shutdown = Shutdown::on_signals().unwrap();
        eprintln!("ready");
        shutdown.requested().await;
        eprintln!("requested, forced: {}", shutdown.is_forced());
        shutdown.forced().await;
        eprintln!("forced");
        pending::<()>().await;
    })
    .unwrap();
}

#[test]
fn the_first_signal_requests_the_second_forces_and_the_third_kills() {
    if child::role().is_some() {
        return play_levels();
    }
    for [first, second, third] in [
        [SIGTERM, SIGTERM, SIGTERM],
        [SIGINT, SIGINT, SIGINT],
        [SIGTERM, SIGINT, SIGTERM],
        [SIGINT, SIGTERM, SIGTERM],
    ] {
        let mut program = Program::start(&mut child::command(this_test!(), "levels"));
        assert!(program.stderr.any(|line| line == "ready"));
        program.child.signal(first);
        assert_eq!(program.stderr.next().as_deref(), Some("requested, forced: false"));
        program.child.signal(second);
        assert_eq!(program.stderr.next().as_deref(), Some("forced"));
        program.child.signal(third);
        assert_eq!(program.ended().status.signal(), Some(third));
    }
}

/// A program that a supervisor starts with SIGTERM ignored, which is rare, keeps it so.
#[test]
fn an_ignored_signal_stays_ignored_and_the_other_one_counts() {
    isolated(this_test!(), || {
        install(SIGINT, libc::SIG_IGN);
        let shutdown = Shutdown::on_signals().unwrap();
        raise(SIGINT);
        assert!(!shutdown.is_requested());
        raise(SIGTERM);
        assert!(shutdown.is_requested() && !shutdown.is_forced());
        drop(shutdown);
        assert_eq!((installed(SIGINT), installed(SIGTERM)), (libc::SIG_IGN, libc::SIG_DFL));
    });
}

#[test]
fn a_signal_is_noted_without_a_runtime() {
    isolated(this_test!(), || {
        let shutdown = Shutdown::on_signals().unwrap();
        assert!(!shutdown.is_requested());
        raise(SIGTERM);
        assert!(shutdown.is_requested() && !shutdown.is_forced());
        raise(SIGINT);
        assert!(shutdown.is_forced());
        run(async move { shutdown.forced().await });
    });
}

#[test]
fn the_actions_from_before_are_put_back_when_the_last_clone_is_dropped() {
    isolated(this_test!(), || {
        let before = does_nothing as extern "C" fn(libc::c_int) as usize;
        install(SIGTERM, before);
        for signals in 0..=2 {
            let shutdown = Shutdown::on_signals().unwrap();
            let clone = shutdown.clone();
            (0..signals).for_each(|_| raise(SIGTERM));
            drop(shutdown);
            assert!(![before, libc::SIG_DFL].contains(&installed(SIGTERM)), "after {signals}");
            drop(clone);
            assert_eq!((installed(SIGTERM), installed(SIGINT)), (before, libc::SIG_DFL));
        }
        // A runtime that has waited for it holds on to nothing.
        run(async {
            let shutdown = Shutdown::on_signals().unwrap();
            assert!(timeout(Duration::from_millis(1), shutdown.requested()).await.is_err());
            drop(shutdown);
            assert_eq!((installed(SIGTERM), installed(SIGINT)), (before, libc::SIG_DFL));
        });
    });
}

#[test]
fn all_shutdowns_and_listeners_are_told_of_a_signal() {
    isolated(this_test!(), || {
        run(async {
            let (first, second) =
                (Shutdown::on_signals().unwrap(), Shutdown::on_signals().unwrap());
            let (interrupt, term, hang) = (ctrl_c(), terminate(), hangup());
            raise(SIGINT);
            interrupt.await.unwrap();
            first.requested().await;
            second.requested().await;
            assert!(!first.is_forced() && !second.is_forced());
            // It has not been told of the first.
            let later = Shutdown::on_signals().unwrap();
            let mut term = pin!(term);
            assert!(poll_once(&mut term).is_pending());
            raise(SIGTERM);
            term.await.unwrap();
            first.forced().await;
            second.forced().await;
            later.requested().await;
            assert!(!later.is_forced());
            raise(SIGHUP);
            hang.await.unwrap();
            assert_eq!(installed(SIGHUP), libc::SIG_DFL);
            // A listener that comes later does not take the signal from one that wants more.
            let interrupt = ctrl_c();
            raise(SIGINT);
            interrupt.await.unwrap();
            later.forced().await;
        });
    });
}

#[test]
fn ctrl_c_that_cancels_the_main_task_also_requests_a_shutdown() {
    isolated(this_test!(), || {
        let shutdown = Shutdown::on_signals().unwrap();
        let runtime = Runtime::builder().cancel_on_ctrl_c(true).build().unwrap();
        let its = shutdown.clone();
        let outcome = runtime.try_block_on(async move {
            yield_now().await;
            raise(SIGINT);
            its.requested().await;
            pending::<()>().await;
        });
        outcome.unwrap_err();
        assert!(shutdown.is_requested() && !shutdown.is_forced());
    });
}

#[test]
fn a_forked_child_is_killed_by_the_first_signal_and_its_parent_is_not_told() {
    isolated(this_test!(), || {
        run(async {
            let shutdown = Shutdown::on_signals().unwrap();
            let mut requested = pin!(shutdown.requested());
            assert!(poll_once(&mut requested).is_pending());
            yield_now().await;
            for signal in [SIGTERM, SIGINT] {
                // SAFETY: the child calls nothing but what a handler may call.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    // SAFETY: neither call touches memory.
                    unsafe {
                        libc::raise(signal);
                        libc::_exit(9);
                    }
                }
                let mut status = 0;
                // SAFETY: the call writes one integer.
                assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                assert!(libc::WIFSIGNALED(status), "{status:#x}");
                assert_eq!(libc::WTERMSIG(status), signal);
            }
            timeout(Duration::from_millis(20), requested.as_mut()).await.unwrap_err();
            raise(SIGTERM);
            requested.await;
        });
    });
}

#[test]
fn a_program_that_is_started_is_killed_by_the_first_signal() {
    isolated(this_test!(), || {
        let shutdown = Shutdown::on_signals().unwrap();
        let status = Command::new("sh").args(["-c", "kill -TERM $$; exit 9"]).status().unwrap();
        assert_eq!(status.signal(), Some(SIGTERM));
        assert!(!shutdown.is_requested());
    });
}

#[test]
fn every_runtime_is_woken_by_a_signal() {
    isolated(this_test!(), || {
        let shutdown = Shutdown::on_signals().unwrap();
        let (ready, readies) = std::sync::mpsc::channel();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (shutdown, ready) = (shutdown.clone(), ready.clone());
                thread::spawn(move || {
                    run(async move {
                        let tasks: Vec<_> = (0..10)
                            .map(|_| {
                                let shutdown = shutdown.clone();
                                spawn(async move {
                                    shutdown.requested().await;
                                    shutdown.forced().await;
                                })
                            })
                            .collect();
                        yield_now().await;
                        ready.send(()).unwrap();
                        shutdown.requested().await;
                        ready.send(()).unwrap();
                        for task in tasks {
                            task.await.unwrap();
                        }
                    });
                })
            })
            .collect();
        for signal in [SIGTERM, SIGINT] {
            for _ in 0..4 {
                readies.recv_timeout(limit()).unwrap();
            }
            raise(signal);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn the_waits_of_a_runtime_share_one_operation() {
    isolated(this_test!(), || {
        run(async {
            let shutdown = Shutdown::on_signals().unwrap();
            let ended = Rc::new(Cell::new(0));
            let wait = |_| {
                let (shutdown, ended) = (shutdown.clone(), Rc::clone(&ended));
                drop(spawn(async move {
                    shutdown.requested().await;
                    ended.set(ended.get() + 1);
                }));
            };
            (0..100).for_each(wait);
            for _ in 0..100 {
                // As a handler does for each request.
                let other = annulus::time::sleep(Duration::from_micros(1));
                assert!(shutdown.run_until_requested(other).await.is_some());
            }
            let metrics = metrics();
            // The bell of the runtime itself is another.
            assert!(metrics.submitted <= 2, "{metrics:?}");
            raise(SIGTERM);
            until(|| ended.get() == 100).await;
        });
    });
}
