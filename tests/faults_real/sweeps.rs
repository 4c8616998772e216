//! One failure anywhere: each system call of a run fails once, in a run of its own.

use std::collections::BTreeMap;

use annulus::{Incident, raw_os_error};
use libc::{
    EACCES, EADDRINUSE, EAGAIN, EBUSY, ECONNABORTED, EINTR, EINVAL, EIO, EMFILE, ENETUNREACH,
    ENFILE, ENOBUFS, ENOMEM, ENOSPC, ENOSYS, ENOTCONN, EPERM, EXDEV, c_long,
};

use crate::common::child::isolated;
use crate::common::descriptors::{assert_back_to, open};
use crate::common::directory::Directory;
use crate::common::random::seeded;
use crate::common::seccomp::failing_once;
use crate::everything::do_everything;
use crate::service::{Clients, Load, NotServed, rounds, serve};
use crate::this_test;

/// All that there is to a service, once.
const LOAD: Load = Load { clients: 3, exchanges: 2, most: 6_000 };

/// What system calls may fail with, but for what ends a runtime on purpose, and for an `EAGAIN`
/// that is not true, after which the portable ring waits for an edge that never comes.
const ERRNOS: &[(c_long, &[i32])] = &[
    // Rings.
    (libc::SYS_io_uring_setup, &[EMFILE, ENFILE, EACCES, ENOMEM, EINVAL]),
    (libc::SYS_io_uring_register, &[EINVAL, EPERM, ENOMEM]),
    (libc::SYS_io_uring_enter, &[EINTR, EAGAIN, EBUSY, ENOMEM]),
    (libc::SYS_epoll_create1, &[EMFILE, ENFILE, ENOMEM]),
    (libc::SYS_epoll_ctl, &[ENOMEM, ENOSPC]),
    (libc::SYS_epoll_wait, &[EINTR]),
    (libc::SYS_epoll_pwait, &[EINTR]),
    (libc::SYS_epoll_pwait2, &[EINTR, ENOSYS, EPERM]),
    (libc::SYS_eventfd2, &[EMFILE, ENFILE, ENOMEM]),
    // Sockets.
    (libc::SYS_socket, &[EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES]),
    (libc::SYS_socketpair, &[EMFILE, ENFILE]),
    (libc::SYS_bind, &[EACCES, ENOMEM]),
    (libc::SYS_listen, &[EADDRINUSE]),
    (libc::SYS_connect, &[ENETUNREACH]),
    (libc::SYS_accept4, &[EINTR, ECONNABORTED, EMFILE, EPERM, ENOBUFS]),
    (libc::SYS_setsockopt, &[EINVAL, ENOMEM, EPERM]),
    (libc::SYS_getsockopt, &[EPERM, ENOMEM]),
    (libc::SYS_getsockname, &[ENOBUFS]),
    (libc::SYS_getpeername, &[ENOTCONN, ENOBUFS, EPERM, EACCES]),
    (libc::SYS_sendto, &[EINTR, ENOBUFS, ENOMEM]),
    (libc::SYS_sendmsg, &[EINTR, ENOBUFS, ENOMEM]),
    (libc::SYS_recvfrom, &[EINTR, ENOMEM]),
    (libc::SYS_recvmsg, &[EINTR, ENOMEM]),
    (libc::SYS_shutdown, &[EIO]),
    (libc::SYS_ioctl, &[EIO]),
    (libc::SYS_fcntl, &[EMFILE]),
    // Files and pipes.
    (libc::SYS_openat, &[EMFILE, EACCES, ENOSPC]),
    (libc::SYS_read, &[EINTR]),
    (libc::SYS_write, &[EINTR]),
    (libc::SYS_pread64, &[EINTR, EIO]),
    (libc::SYS_preadv2, &[EINTR, EIO]),
    (libc::SYS_pwritev2, &[EINTR, ENOSPC]),
    (libc::SYS_pipe2, &[EMFILE, ENFILE]),
    (libc::SYS_splice, &[EINTR, EIO]),
    (libc::SYS_copy_file_range, &[EINTR, EXDEV, EIO]),
    (libc::SYS_getdents64, &[EIO]),
    (libc::SYS_unlinkat, &[EACCES]),
    // Threads and processes.
    (libc::SYS_clone, &[EAGAIN, ENOMEM]),
    (libc::SYS_clone3, &[EAGAIN, ENOMEM]),
    (libc::SYS_pidfd_open, &[EMFILE, ENOSYS]),
    (libc::SYS_waitid, &[EINTR]),
    (libc::SYS_poll, &[EINTR, ENOMEM]),
    (libc::SYS_ppoll, &[EINTR, ENOMEM]),
];

/// Errors after which the call is to be made again.
const PASSING: &[i32] = &[EINTR, EAGAIN];

#[test]
fn whichever_call_fails_once_the_service_goes_on_or_says_why_it_could_not_begin() {
    isolated(this_test!(), || {
        let mut hit = BTreeMap::<_, usize>::new();
        for number in 1.. {
            let clients = Clients::new(LOAD);
            let (outcome, failed) = failing_once(ERRNOS, number, || serve(clients));
            let Some((call, errno)) = failed else { break };
            *hit.entry(call).or_default() += 1;
            let case = format!("call {call}, number {number}, errno {errno}");
            match outcome {
                Err(NotServed::Setup(error)) => {
                    let text = error.to_string();
                    assert!(!text.contains('\n') && text.len() > 20, "{case}: {text}");
                }
                Err(NotServed::Listen(error)) => {
                    assert_eq!(raw_os_error(&error), Some(errno), "{case}: {error}");
                }
                Ok(outcome) => {
                    let tally = outcome.tally;
                    assert!(tally.corrupt == 0 && tally.refused == 0, "{case}: {outcome:?}");
                    assert!(tally.ended <= 1, "{case}: {outcome:?}");
                    let all = LOAD.clients * LOAD.exchanges;
                    assert_eq!(tally.echoed + tally.ended, all, "{case}: {outcome:?}");
                    assert!(outcome.incidents.iter().all(is_report), "{case}: {outcome:?}");
                    assert_back_to(outcome.before);
                }
            }
        }
        assert!(hit.len() > 8, "{hit:?}");
    });
}

/// Whether an incident is one that a system call's failure explains.
fn is_report(incident: &Incident) -> bool {
    matches!(
        incident,
        Incident::HandlerFailed { panicked: false, .. }
            | Incident::AcceptDelayed { .. }
            | Incident::SmallerRing { .. }
            | Incident::FewerLeases { .. }
    )
}

#[test]
fn whichever_call_fails_once_one_step_fails_with_its_error_and_no_other() {
    isolated(this_test!(), || {
        let mut hit = BTreeMap::<_, usize>::new();
        let (before, mut last) = (open(), None);
        // A run takes a while: some calls, others each time, or all of them.
        let step = if rounds() > 1 { 1 } else { 48 };
        for number in (seeded().usize(1..=step)..).step_by(step) {
            let directory = Directory::new();
            let path = directory.path().to_owned();
            let (done, failed) = failing_once(ERRNOS, number, move || do_everything(&path));
            let Some((call, errno)) = failed else {
                last = Some(done);
                break;
            };
            *hit.entry(call).or_default() += 1;
            let case = format!("call {call}, number {number}, errno {errno}");
            let done = match done {
                Ok(done) => done,
                Err(error) => {
                    assert!(error.to_string().len() > 20, "{case}: {error}");
                    continue;
                }
            };
            assert!(done.incidents.iter().all(is_report), "{case}: {:?}", done.incidents);
            assert!(done.failed.len() <= 1, "{case}: {:?}", done.failed);
            if let Some((name, error)) = done.failed.first() {
                assert_eq!(raw_os_error(error), Some(errno), "{case}: {name}: {error}");
                let starts_one = call == libc::SYS_clone || call == libc::SYS_clone3;
                let may_repeat = PASSING.contains(&errno) && !starts_one;
                assert!(!may_repeat, "{case}: {name} has not tried again: {error}");
            }
        }
        let last = last.expect("it ends").expect("no call has failed");
        assert!(last.failed.is_empty() && last.incidents.is_empty(), "{:?}", last.failed);
        assert!(!hit.is_empty(), "{hit:?}");
        assert_back_to(before);
    });
}
