//! Waiting for children.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use io_uring::opcode;
use uring_sys_tests::completion::{Completion, Errno};
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::Ring;

use crate::case::cases;

cases![
    waitid_without_reaping_leaves_the_status: [WaitId],
    waitid_ends_when_another_reaps: [WaitId],
    cancelled_waitid_reaps_nothing: [WaitId],
    waitid_cancel_races_reap_once: [WaitId],
    waitid_of_a_stopped_child_waits: [WaitId],
    waitid_with_sigchld_ignored_ends_without_a_status: [WaitId] @ in_own_process,
    pidfd_poll_reports_the_end,
];

const TARGET: u64 = 1;
const CANCEL: u64 = 2;

/// A child that runs until its input ends, and then exits with 3.
fn child() -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "read line; exit 3"]).stdin(Stdio::piped());
    command.spawn().expect("a shell")
}

fn pidfd(child: &Child) -> OwnedFd {
    // SAFETY: the call touches no memory.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    assert!(fd >= 0, "pidfd_open: {}", io::Error::last_os_error());
    // SAFETY: the descriptor has just been opened.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

fn wait_id(pidfd: &OwnedFd, options: i32) -> Op {
    let id = pidfd.as_raw_fd() as libc::id_t;
    let entry = opcode::WaitId::new(libc::P_PIDFD, id, libc::WEXITED | options).build();
    // SAFETY: the SQE points to no memory: the kernel is to write no `siginfo`.
    unsafe { Op::from_entry(entry) }.tag(TARGET)
}

/// Lets the child end.
fn end(child: &mut Child) {
    drop(child.stdin.take());
}

fn cancel(ring: &mut Ring) -> Completion {
    ring.start([Op::cancel(TARGET).tag(CANCEL)]);
    let answer = ring.next_for(CANCEL).outcome();
    // For a wait the kernel answers with the number of waits that it has cancelled, where it
    // answers 0 for other operations.
    let legal = [Ok(0), Ok(1), Err(Errno(libc::ENOENT)), Err(Errno(libc::EALREADY))];
    assert!(legal.contains(&answer), "a cancel answered {answer:?}");
    ring.next_for(TARGET)
}

fn status(child: &mut Child) -> Result<ExitStatus, Errno> {
    child.wait().map_err(|error| Errno::of(&error))
}

/// A wait with `WNOWAIT` and without a place for the status completes when the child has ended,
/// each of several, and leaves its status to a call. The driver's waits are such: they point to no
/// memory and take nothing, so that a dropped one needs no care, and one function reaps.
fn waitid_without_reaping_leaves_the_status() {
    for mut ring in [Ring::plain(8), Ring::deferred(8)] {
        let mut child = child();
        let pidfd = pidfd(&child);
        ring.start([wait_id(&pidfd, libc::WNOWAIT), wait_id(&pidfd, libc::WNOWAIT)]);
        ring.assert_quiet("the child runs");
        end(&mut child);
        for _ in 0..2 {
            assert_eq!(ring.next_for(TARGET).outcome(), Ok(0));
        }
        assert_eq!(ring.run(wait_id(&pidfd, libc::WNOWAIT)).outcome(), Ok(0), "it is a zombie");
        assert_eq!(status(&mut child).unwrap().code(), Some(3));
        assert_eq!(ring.run(wait_id(&pidfd, 0)).outcome(), Err(Errno(libc::ECHILD)));
    }
}

/// A wait in flight ends with `ECHILD` when other code reaps its child. A process where another
/// library waits for all children must not hang: the driver says that the status is lost.
fn waitid_ends_when_another_reaps() {
    for options in [0, libc::WNOWAIT] {
        let mut ring = Ring::deferred(8);
        let mut child = child();
        let pidfd = pidfd(&child);
        ring.start([wait_id(&pidfd, options)]);
        end(&mut child);
        // Deferred work runs in an enter only, so the call is first.
        assert_eq!(status(&mut child).unwrap().code(), Some(3));
        assert_eq!(ring.next_for(TARGET).outcome(), Err(Errno(libc::ECHILD)));
    }
}

/// A cancelled wait completes with `ECANCELED` and has reaped nothing, even one that would reap.
/// The end of a runtime cancels waits, and the status must be left to who comes after it.
fn cancelled_waitid_reaps_nothing() {
    let mut ring = Ring::deferred(8);
    let mut child = child();
    let pidfd = pidfd(&child);
    ring.start([wait_id(&pidfd, 0)]);
    assert_eq!(cancel(&mut ring).outcome(), Err(Errno(libc::ECANCELED)));
    end(&mut child);
    assert_eq!(status(&mut child).unwrap().code(), Some(3));
}

/// A cancel that races with the child's end: the wait has reaped the child and says so, or has not
/// and says that. No status is lost in between.
fn waitid_cancel_races_reap_once() {
    let mut ring = Ring::plain(8);
    for _ in 0..50 {
        let mut child = child();
        let pidfd = pidfd(&child);
        ring.start([wait_id(&pidfd, 0)]);
        end(&mut child);
        if child.id() % 2 == 0 {
            std::thread::yield_now();
        }
        match cancel(&mut ring).outcome() {
            Ok(_) => assert_eq!(status(&mut child).unwrap_err(), Errno(libc::ECHILD)),
            Err(Errno(libc::ECANCELED)) => assert_eq!(status(&mut child).unwrap().code(), Some(3)),
            Err(other) => panic!("a cancelled wait ended with {other:?}"),
        }
    }
}

/// A child that is stopped has not ended: a wait goes on, until a signal kills it.
/// The driver's waits are for the end alone.
fn waitid_of_a_stopped_child_waits() {
    let mut ring = Ring::deferred(8);
    let mut child = child();
    let pidfd = pidfd(&child);
    ring.start([wait_id(&pidfd, libc::WNOWAIT)]);
    let id = child.id() as libc::pid_t;
    // SAFETY: the call touches no memory; the child has not been waited for.
    assert_eq!(unsafe { libc::kill(id, libc::SIGSTOP) }, 0);
    ring.assert_quiet("the child is stopped");
    child.kill().unwrap();
    assert_eq!(ring.next_for(TARGET).outcome(), Ok(0));
    assert_eq!(status(&mut child).unwrap().signal(), Some(libc::SIGKILL));
}

/// In a process that ignores SIGCHLD the kernel reaps children itself, and a wait for one ends with
/// `ECHILD` when it has ended. The driver's wait returns an error then, and does not hang.
fn waitid_with_sigchld_ignored_ends_without_a_status() {
    // SAFETY: to ignore a signal has no conditions.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let mut ring = Ring::deferred(8);
    let mut child = child();
    let pidfd = pidfd(&child);
    ring.start([wait_id(&pidfd, libc::WNOWAIT)]);
    ring.assert_quiet("the child runs");
    end(&mut child);
    assert_eq!(ring.next_for(TARGET).outcome(), Err(Errno(libc::ECHILD)));
}

/// A poll of a pidfd completes when the child has ended, and takes no status.
/// It is how the driver waits where the kernel has no wait on the ring.
fn pidfd_poll_reports_the_end() {
    let mut ring = Ring::plain(8);
    let mut child = child();
    let pidfd = pidfd(&child);
    ring.start([Op::poll(&pidfd, libc::POLLIN).tag(TARGET)]);
    ring.assert_quiet("the child runs");
    end(&mut child);
    let polled = ring.next_for(TARGET).outcome().unwrap();
    assert_ne!(polled & libc::POLLIN as u32, 0);
    assert_eq!(status(&mut child).unwrap().code(), Some(3));
}
