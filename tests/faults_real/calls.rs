//! System calls that fail at times: while a ring is made, while it is entered, and beside it.

use std::time::Duration;

use annulus::Incident;
use libc::{
    EACCES, EAGAIN, EBUSY, EINTR, EINVAL, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTCONN, EPERM,
    SYS_accept4, SYS_bind, SYS_close, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait,
    SYS_epoll_pwait2, SYS_epoll_wait, SYS_eventfd2, SYS_fcntl, SYS_getpeername, SYS_getsockname,
    SYS_getsockopt, SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup, SYS_ioctl,
    SYS_listen, SYS_pipe2, SYS_poll, SYS_read, SYS_recvfrom, SYS_recvmsg, SYS_sendmsg, SYS_sendto,
    SYS_setsockopt, SYS_shutdown, SYS_socket, SYS_write,
};

use crate::common::child::isolated;
use crate::common::descriptors::assert_back_to;
use crate::common::seccomp::{Calls, When, failing, failing_once};
use crate::service::{Clients, Load, NotServed, Outcome, serve};
use crate::this_test;

/// Enough for every way to echo, short and long.
const LOAD: Load = Load { clients: 6, exchanges: 8, most: 12_000 };
/// All that there is to a service, once.
const SMALL: Load = Load { clients: 3, exchanges: 2, most: 6_000 };

/// Serves while some calls fail. Returns what has come of it, and how many have failed.
fn serve_failing(calls: impl Into<Calls>, errno: i32, when: When) -> (Outcome, usize) {
    let clients = Clients::new(LOAD);
    let (outcome, failed) = failing(calls, errno, when, || serve(clients));
    let outcome = outcome.unwrap_or_else(|error| panic!("errno {errno}, {when:?}: {error:?}"));
    assert!(failed > 0, "no call has failed with {errno}");
    (outcome, failed as usize)
}

/// Asserts that no client has noticed anything, and that nothing is left behind.
#[track_caller]
fn assert_unnoticed(outcome: &Outcome, case: &str) {
    let tally = outcome.tally;
    assert_eq!(tally.echoed, LOAD.clients * LOAD.exchanges, "{case}: {outcome:?}");
    assert_eq!((tally.corrupt, tally.ended, tally.refused), (0, 0, 0), "{case}: {outcome:?}");
    assert!(outcome.incidents.is_empty(), "{case}: {outcome:?}");
    assert_back_to(outcome.before);
}

/// Whatever is repeated, or done in another way, when it fails.
#[test]
fn calls_that_can_be_repeated_or_replaced_fail_without_a_client_that_notices() {
    isolated(this_test!(), || {
        let always = When::From(1);
        for (name, call, errnos, when) in [
            ("enter", SYS_io_uring_enter, &[EINTR, EAGAIN, EBUSY, ENOMEM][..], When::Every(5)),
            ("enter", SYS_io_uring_enter, &[EINTR, EAGAIN], When::Every(2)),
            ("enter", SYS_io_uring_enter, &[EINTR, EAGAIN, EBUSY, ENOMEM], When::Between(1, 3)),
            ("setup", SYS_io_uring_setup, &[EINVAL], When::Between(1, 1)),
            ("setup", SYS_io_uring_setup, &[EINVAL], When::Between(1, 3)),
            ("setup", SYS_io_uring_setup, &[ENOMEM], When::Between(1, 2)),
            ("register", SYS_io_uring_register, &[EINVAL, EPERM, ENOMEM], When::From(2)),
            ("register", SYS_io_uring_register, &[EINVAL, EPERM, ENOMEM], When::From(3)),
            ("send", SYS_sendto, &[EINTR, EAGAIN], When::Every(2)),
            ("receive", SYS_recvfrom, &[EINTR, EAGAIN], When::Every(3)),
            ("peer's address", SYS_getpeername, &[ENOTCONN, ENOBUFS, EPERM, EACCES, EIO], always),
            ("option", SYS_getsockopt, &[EPERM, ENOMEM], always),
            ("duplicate", SYS_fcntl, &[EMFILE], always),
            ("shutdown", SYS_shutdown, &[EIO, EACCES], always),
        ] {
            for &errno in errnos {
                let (outcome, _) = serve_failing(call, errno, when);
                assert_unnoticed(&outcome, &format!("{name}, errno {errno}"));
            }
        }
    });
}

/// A connection on which the kernel fails to send or receive is over. No other one is.
#[test]
fn a_call_that_fails_for_good_ends_its_own_connection_and_no_other() {
    isolated(this_test!(), || {
        for errno in [ENOBUFS, ENOMEM, EPERM] {
            let (outcome, failed) = serve_failing(SYS_sendto, errno, When::Every(20));
            assert_eq!(outcome.tally.ended, failed, "{outcome:?}");
            let (outcome, failed) = serve_failing(SYS_recvfrom, errno, When::Every(20));
            // One that has failed to receive the end is over, and its client does not notice.
            assert!((1..=failed).contains(&outcome.tally.ended), "{failed}: {outcome:?}");
        }
    });
}

/// Whatever error a close reports, the descriptor is closed: to close its number again would close
/// what another has opened meanwhile.
#[test]
fn a_close_that_reports_an_error_is_not_repeated() {
    isolated(this_test!(), || {
        for errno in [EINTR, EIO] {
            let (outcome, _) = serve_failing(SYS_close, errno, When::From(1));
            assert_unnoticed(&outcome, "close");
        }
    });
}

#[test]
fn a_kernel_that_refuses_every_enter_for_a_second_is_reported_and_nothing_is_lost() {
    isolated(this_test!(), || {
        let longer = When::For(10, Duration::from_millis(1050));
        let (mut outcome, failed) = serve_failing(SYS_io_uring_enter, ENOMEM, longer);
        let incidents = std::mem::take(&mut outcome.incidents);
        assert!(matches!(incidents[..], [Incident::EnterRefused { .. }]), "{incidents:?}");
        assert_eq!(outcome.metrics.refused_enter_calls, failed as u64);
        assert_unnoticed(&outcome, "enter");
    });
}

/// What the calls of a service may fail with, but for what ends a runtime on purpose.
const ERRNOS: &[(libc::c_long, &[i32])] = &[
    (SYS_io_uring_setup, &[EMFILE, ENFILE, EACCES, ENOMEM, EINVAL]),
    (SYS_io_uring_register, &[EINVAL, EPERM, ENOMEM]),
    (SYS_io_uring_enter, &[EINTR, EAGAIN, EBUSY, ENOMEM]),
    (SYS_eventfd2, &[EMFILE, ENFILE, ENOMEM]),
    (SYS_socket, &[EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES]),
    (SYS_bind, &[EACCES, ENOMEM]),
    (SYS_listen, &[libc::EADDRINUSE]),
    (SYS_setsockopt, &[EINVAL, ENOMEM, EPERM]),
    (SYS_getsockopt, &[EPERM, ENOMEM]),
    (SYS_getsockname, &[ENOBUFS]),
    (SYS_getpeername, &[ENOTCONN, ENOBUFS, EPERM, EACCES]),
    (SYS_sendto, &[EINTR, EAGAIN, ENOBUFS, ENOMEM]),
    (SYS_sendmsg, &[EINTR, EAGAIN, ENOBUFS, ENOMEM]),
    (SYS_recvfrom, &[EINTR, EAGAIN, ENOMEM]),
    (SYS_recvmsg, &[EINTR, EAGAIN, ENOMEM]),
    (SYS_accept4, &[EINTR, libc::ECONNABORTED, EMFILE, EPERM, ENOBUFS]),
    (SYS_shutdown, &[EIO]),
    (SYS_ioctl, &[EIO]),
    (SYS_fcntl, &[EMFILE]),
    (SYS_poll, &[EINTR, ENOMEM]),
    (SYS_read, &[EINTR, EAGAIN]),
    (SYS_write, &[EINTR]),
    (SYS_epoll_create1, &[EMFILE, ENFILE, ENOMEM]),
    (SYS_epoll_ctl, &[ENOMEM, libc::ENOSPC]),
    (SYS_epoll_wait, &[EINTR]),
    (SYS_epoll_pwait, &[EINTR]),
    (SYS_epoll_pwait2, &[EINTR, libc::ENOSYS]),
    (SYS_pipe2, &[EMFILE, ENFILE]),
];

/// One failure anywhere: each call that a small service makes fails once, in a run of its own.
#[test]
fn whichever_call_fails_once_the_service_goes_on_or_says_why_it_could_not_begin() {
    isolated(this_test!(), || {
        let mut hit = std::collections::BTreeMap::<_, usize>::new();
        for number in 1.. {
            let clients = Clients::new(SMALL);
            let (outcome, failed) = failing_once(ERRNOS, number, || serve(clients));
            let Some((call, errno)) = failed else { break };
            *hit.entry(call).or_default() += 1;
            let case = format!("call {call}, the {number}th, errno {errno}");
            match outcome {
                Err(NotServed::Setup(error)) => {
                    let text = error.to_string();
                    assert!(!text.contains('\n') && text.len() > 20, "{case}: {text}");
                }
                Err(NotServed::Listen(error)) => {
                    assert_eq!(annulus::raw_os_error(&error), Some(errno), "{case}: {error}");
                }
                Ok(outcome) => {
                    let tally = outcome.tally;
                    assert!(tally.corrupt == 0 && tally.refused == 0, "{case}: {outcome:?}");
                    assert!(tally.ended <= 1, "{case}: {outcome:?}");
                    let all = SMALL.clients * SMALL.exchanges;
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
