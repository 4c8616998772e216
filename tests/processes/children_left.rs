//! Children that no task waits for any more leave no zombies, and what else belongs to the process:
//! what it does at SIGCHLD, forks, kernels without waits on the ring. Each test has a process of
//! its own.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Stdio, exit};
use std::time::Duration;
use std::{mem, ptr};

use annulus::process::{Child, Command};
use annulus::signal::{SignalKind, signal};
use annulus::time::{sleep, timeout};
use annulus::{Runtime, metrics, raw_os_error, spawn, yield_now};
use libc::{ECHILD, SIGKILL};

use crate::children::{is_zombie, sh};
use crate::common::bounded::bounded;
use crate::common::child::{self, isolated};
use crate::common::conditions::until;
use crate::common::seccomp::{Lacking, lacking, refusing};
use crate::common::skip::skip;
use crate::common::watchdog::{block_on, run};
use crate::this_test;

/// A kernel before waits on the ring (the opcode is waitid's). Without the flags, as the filter
/// probes from another thread.
const OLD: Lacking = Lacking { flags: DEFER_TASKRUN | SINGLE_ISSUER, operation: Some(50) };
const SINGLE_ISSUER: u32 = 1 << 12;
const DEFER_TASKRUN: u32 = 1 << 13;

/// A child that runs until it is killed, and has no pipes.
fn sleeping() -> Command {
    let mut command = Command::new("sleep");
    // A test that fails must not wait for what it has left.
    command.arg("100").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// How many children this process has, zombies included.
fn children() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let path = task.unwrap().path().join("children");
        std::fs::read_to_string(path).map_or(0, |text| text.split_whitespace().count())
    };
    tasks.map(of).sum()
}

fn kill(number: u32) {
    // SAFETY: the call touches no memory, and the child is this process's.
    assert_eq!(unsafe { libc::kill(number as libc::pid_t, SIGKILL) }, 0);
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_dropped_child_continues_and_leaves_neither_a_zombie_nor_a_descriptor() {
    isolated(this_test!(), || {
        run(async {
            // The count of forks is registered by the first.
            sh("exit 0").status().await.unwrap();
            let before = open_descriptors();
            let waited = sleeping().spawn().unwrap();
            timeout(Duration::from_millis(1), waited.exited()).await.unwrap_err();
            drop(waited.exited());
            let mut numbers = vec![waited.id()];
            drop(waited);
            numbers.extend((0..20).map(|_| sleeping().spawn().unwrap().id()));
            assert_eq!(children(), 21);
            assert!(numbers.iter().all(|&number| is_zombie(number) == Some(false)));
            numbers.iter().for_each(|&number| kill(number));
            until(|| children() == 0).await;
            until(|| open_descriptors() <= before).await;
        });
    });
}

#[test]
fn kill_on_drop_kills_a_child_that_is_dropped_and_only_such_a_one() {
    isolated(this_test!(), || {
        run(async {
            let mut command = sleeping();
            assert!(!command.get_kill_on_drop());
            command.kill_on_drop(true);
            assert!(command.get_kill_on_drop());
            drop(command.spawn().unwrap());
            until(|| children() == 0).await;
            // With its task, with a future that starts it, and where it is forgotten by a timeout.
            let task = spawn(async move {
                let _child = command.spawn().unwrap();
                std::future::pending::<()>().await;
            });
            yield_now().await;
            assert_eq!(children(), 1);
            task.cancel();
            until(|| children() == 0).await;
            let mut command = sleeping();
            let output = command.kill_on_drop(true).output();
            assert_eq!(children(), 1);
            timeout(Duration::from_millis(2), output).await.unwrap_err();
            until(|| children() == 0).await;
            let mut command = sleeping();
            timeout(Duration::ZERO, command.kill_on_drop(true).status()).await.unwrap_err();
            until(|| children() == 0).await;
        });
    });
}

/// What a runtime that ends cannot wait for is taken over by the next that starts a child.
#[test]
fn children_that_outlive_their_runtime_are_waited_for_by_the_next() {
    isolated(this_test!(), || {
        let mut numbers = Vec::new();
        let mut after = None;
        for kills in [false, true] {
            let runtime = Runtime::new().unwrap();
            block_on(&runtime, async {
                // One in a task that the runtime ends, one that is dropped before, one after.
                let mut command = sleeping();
                command.kill_on_drop(kills);
                let (in_task, dropped) = (command.spawn().unwrap(), command.spawn().unwrap());
                numbers.extend([in_task.id(), dropped.id()]);
                drop(dropped);
                drop(spawn(async move {
                    let _ = in_task.exited().await;
                    drop(in_task);
                }));
                yield_now().await;
                after = Some(sleeping().spawn().unwrap());
            });
            drop(runtime);
            let after = after.take().unwrap();
            numbers.push(after.id());
            drop(after);
        }
        // Of those that were killed, some may have ended before their runtime.
        assert!((4..=6).contains(&children()), "{}", children());
        run(async {
            sh("exit 0").status().await.unwrap();
            for number in numbers {
                if is_zombie(number) == Some(false) {
                    kill(number);
                }
            }
            until(|| children() == 0).await;
        });
    });
}

#[test]
fn a_child_that_is_used_after_its_runtime_has_ended_reports_that_and_its_status() {
    isolated(this_test!(), || {
        let runtime = Runtime::new().unwrap();
        let mut child = block_on(&runtime, async { sleeping().spawn().unwrap() });
        drop(runtime);
        run(async {
            let error = child.wait().await.unwrap_err();
            assert_eq!(raw_os_error(&error), Some(libc::ECANCELED), "{error}");
            child.start_kill().unwrap();
            until(|| child.try_wait().unwrap().is_some()).await;
            assert_eq!(child.wait().await.unwrap().signal(), Some(SIGKILL));
        });
    });
}

#[test]
fn where_sigchld_is_ignored_a_wait_ends_with_an_error_that_says_so() {
    isolated(this_test!(), || {
        // SAFETY: to ignore a signal has no conditions.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        run(async {
            let mut child = sh("sleep 0.01").spawn().unwrap();
            for _ in 0..2 {
                let error = child.wait().await.unwrap_err();
                assert_eq!(raw_os_error(&error), Some(ECHILD));
                assert!(error.to_string().contains("ignores SIGCHLD"), "{error}");
            }
            // One that is gone before it is looked at.
            let mut gone = std::process::Command::new("true").spawn().unwrap();
            gone.stdin = None;
            until(|| is_zombie(gone.id()).is_none()).await;
            let error = Child::from_std(gone).unwrap_err();
            assert_eq!(raw_os_error(&error), Some(ECHILD), "{error}");
            let output = sh("echo text").output().await.unwrap_err();
            assert_eq!(raw_os_error(&output), Some(ECHILD));
        });
    });
}

#[test]
fn a_listener_for_sigchld_and_the_waits_for_children_do_not_disturb_each_other() {
    isolated(this_test!(), || {
        run(async {
            let mut ended = signal(SignalKind::child()).unwrap();
            for code in 0..5 {
                let mut child = sh(&format!("exit {code}")).spawn().unwrap();
                assert_eq!(ended.recv().await, Some(()));
                assert_eq!(child.wait().await.unwrap().code(), Some(code));
                ended.take_pending();
            }
        });
    });
}

#[test]
fn a_process_that_was_forked_neither_kills_nor_waits_for_its_parents_children() {
    isolated(this_test!(), || {
        run(async {
            let child = RefCell::new(Some({
                let mut command = sleeping();
                command.kill_on_drop(true).spawn().unwrap()
            }));
            // SAFETY: the child allocates nothing: it drops a value whose destructor returns.
            let forked = unsafe { libc::fork() };
            if forked == 0 {
                let dropped = child.borrow_mut().take().unwrap();
                let refused = dropped.start_kill().is_ok();
                mem::forget(child);
                drop(dropped);
                // SAFETY: the call has no conditions.
                unsafe { libc::_exit(i32::from(!refused)) };
            }
            let mut status = 0;
            // SAFETY: the call writes one integer.
            assert_eq!(unsafe { libc::waitpid(forked, &mut status, 0) }, forked);
            assert_eq!(status, 0);
            let mut child = child.take().unwrap();
            timeout(Duration::from_millis(5), child.exited()).await.unwrap_err();
            child.kill().await.unwrap();
        });
    });
}

/// All that a wait can do, on a kernel that lacks something.
async fn wait_in_all_ways() {
    let mut child = sh("exit 3").spawn().unwrap();
    let other = spawn(child.exited());
    assert_eq!(child.wait().await.unwrap().code(), Some(3));
    assert_eq!(other.await.unwrap().unwrap().code(), Some(3));
    let mut child = sleeping().spawn().unwrap();
    timeout(Duration::from_millis(2), child.exited()).await.unwrap_err();
    assert!(child.try_wait().unwrap().is_none());
    child.terminate().unwrap();
    assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGTERM));
    let mut child = Command::new("cat");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = child.communicate(vec![b'x'; 1 << 20]).await.unwrap();
    assert_eq!(output.stdout.len(), 1 << 20);
    drop(sleeping().kill_on_drop(true).spawn().unwrap());
}

#[test]
fn children_are_waited_for_on_kernels_that_lack_waits_on_the_ring_or_pidfds() {
    isolated(this_test!(), || {
        let all = || {
            run(async {
                wait_in_all_ways().await;
                // The next start of a child takes over what could not be waited for.
                until(|| {
                    drop(std::process::Command::new("true").status());
                    drop(sh("exit 0").spawn().unwrap());
                    children() <= 1
                })
                .await;
            });
        };
        lacking(OLD, all);
        refusing(libc::SYS_pidfd_open, libc::EMFILE, all);
        lacking(OLD, move || refusing(libc::SYS_pidfd_open, libc::EPERM, all));
    });
}

/// A tracer sees the end of a child first, and the parent when the tracer has. A pidfd is readable
/// before: a wait that only polled it would spin.
#[test]
fn a_traced_child_has_ended_when_its_tracer_has_seen_that_and_no_wait_spins_until_then() {
    isolated(this_test!(), || {
        run(wait_for_traced());
        lacking(OLD, || run(wait_for_traced()));
    });
}

async fn wait_for_traced() {
    let mut child = sleeping().spawn().unwrap();
    let number = child.id() as libc::pid_t;
    // Readable when the child is traced; closed by this process to end the tracer.
    let [mut told, tell] = [0, 1].map(|_| std::os::unix::net::UnixStream::pair().unwrap());
    // SAFETY: the child only makes system calls.
    let tracer = unsafe { libc::fork() };
    if tracer == 0 {
        let (told, tell) = (told.1.as_raw_fd(), tell.1.as_raw_fd());
        // SAFETY: system calls, on descriptors that are open and with a place for one byte.
        unsafe {
            let seized = libc::ptrace(libc::PTRACE_SEIZE, number, 0, 0) == 0;
            let mut byte = u8::from(seized);
            libc::write(told, ptr::from_ref(&byte).cast(), 1);
            libc::read(tell, ptr::from_mut(&mut byte).cast(), 1);
            libc::_exit(0);
        }
    }
    let mut byte = [0];
    told.0.read_exact(&mut byte).unwrap();
    if byte == [1] {
        let wait = spawn(child.exited());
        yield_now().await;
        child.start_kill().unwrap();
        until(|| is_zombie(child.id()) == Some(true)).await;
        let before = metrics().submitted;
        sleep(Duration::from_millis(50)).await;
        assert!(!wait.is_finished(), "the tracer has not seen the end");
        assert!(child.try_wait().unwrap().is_none());
        assert!(metrics().submitted - before < 30, "{}", metrics().submitted - before);
        (&tell.0).write_all(b"x").unwrap();
        assert_eq!(wait.await.unwrap().unwrap().signal(), Some(SIGKILL));
    } else {
        skip("a process may not trace another one here");
        (&tell.0).write_all(b"x").unwrap();
        child.kill().await.unwrap();
    }
    // SAFETY: the call writes nothing, as it is given no place for the status.
    assert_eq!(unsafe { libc::waitpid(tracer, ptr::null_mut(), 0) }, tracer);
}

/// Nothing is dropped, so children continue: their number is said, and they are killed here.
#[test]
fn a_task_may_end_the_process_with_children_that_it_waits_for() {
    if child::role().is_some() {
        return bounded(|| {
            annulus::run(async {
                let child = sleeping().stdout(Stdio::null()).spawn().unwrap();
                eprintln!("{}", child.id());
                drop(spawn(child.exited()));
                yield_now().await;
                exit(4);
            })
            .unwrap();
        });
    }
    let output = child::command(this_test!(), "exits").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    kill(String::from_utf8(output.stderr).unwrap().trim().parse().unwrap());
}
