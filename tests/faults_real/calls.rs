//! System calls that fail at times: while a ring is made, while it is entered, and beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus::{Incident, RingKind};
use libc::{
    EACCES, EAGAIN, EBUSY, ECONNABORTED, EINTR, EINVAL, EIO, EMFILE, ENOBUFS, ENOMEM, ENOSYS,
    ENOTCONN, EPERM, EPROTO, SYS_accept4, SYS_close, SYS_copy_file_range, SYS_epoll_pwait2,
    SYS_fcntl, SYS_getpeername, SYS_getsockopt, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_io_uring_setup, SYS_preadv2, SYS_pwritev2, SYS_read, SYS_recvfrom, SYS_recvmsg,
    SYS_sendmsg, SYS_sendto, SYS_shutdown, SYS_splice, c_long,
};

use crate::common::child::isolated;
use crate::common::descriptors::assert_back_to;
use crate::common::directory::Directory;
use crate::common::seccomp::{Calls, When, failing};
use crate::common::skip::needs_kernel_ring;
use crate::everything::do_everything;
use crate::service::{Clients, Load, Outcome, ring, serve};
use crate::this_test;

/// Enough for every way to echo, short and long.
const LOAD: Load = Load { clients: 6, exchanges: 8, most: 12_000 };

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

/// A kind of call, what it fails with, and when.
type Row = (c_long, &'static [i32], When);

/// What a service does on any ring.
const ON_ANY: &[Row] = &[
    (SYS_sendto, &[EINTR], When::Every(2)),
    (SYS_recvfrom, &[EINTR], When::Every(3)),
    (SYS_getpeername, &[ENOTCONN, ENOBUFS, EPERM, EACCES, EIO], When::From(1)),
    (SYS_getsockopt, &[EPERM, ENOMEM], When::From(1)),
    (SYS_shutdown, &[EIO, EACCES], When::From(1)),
];

/// The portable ring waits for the next edge after `EAGAIN`, which the kernel reports only when it
/// is true.
const ON_THE_KERNELS_RING: &[Row] = &[
    (SYS_sendto, &[EAGAIN], When::Every(2)),
    (SYS_recvfrom, &[EAGAIN], When::Every(3)),
    (SYS_io_uring_enter, &[EINTR, EAGAIN, EBUSY, ENOMEM], When::Every(5)),
    (SYS_io_uring_enter, &[EINTR, EAGAIN], When::Every(2)),
    (SYS_io_uring_enter, &[EINTR, EAGAIN, EBUSY, ENOMEM], When::Between(1, 3)),
    (SYS_io_uring_setup, &[EINVAL], When::Between(1, 1)),
    (SYS_io_uring_setup, &[EINVAL], When::Between(1, 3)),
    (SYS_io_uring_setup, &[ENOMEM], When::Between(1, 2)),
    (SYS_io_uring_register, &[EINVAL, EPERM, ENOMEM], When::From(2)),
    (SYS_io_uring_register, &[EINVAL, EPERM, ENOMEM], When::From(3)),
    (SYS_fcntl, &[EMFILE], When::From(1)),
];

const ON_THE_PORTABLE_RING: &[Row] = &[
    (SYS_accept4, &[EINTR, ECONNABORTED, EPROTO], When::Every(2)),
    (SYS_epoll_pwait2, &[EINTR], When::Every(2)),
    // Before Linux 5.11, and under the profile of an old Docker.
    (SYS_epoll_pwait2, &[ENOSYS, EPERM], When::From(1)),
];

/// Whatever is repeated, or done in another way, when it fails.
#[test]
fn calls_that_can_be_repeated_or_replaced_fail_without_a_client_that_notices() {
    isolated(this_test!(), || {
        let others = match ring() {
            RingKind::Portable => ON_THE_PORTABLE_RING,
            _ => ON_THE_KERNELS_RING,
        };
        for &(call, errnos, when) in ON_ANY.iter().chain(others) {
            for &errno in errnos {
                let (outcome, _) = serve_failing(call, errno, when);
                assert_unnoticed(&outcome, &format!("call {call}, errno {errno}, {when:?}"));
            }
        }
    });
}

/// What a program does beside serving, on any ring.
const BESIDE: &[Row] = &[
    (SYS_splice, &[EINTR], When::Every(2)),
    (SYS_recvmsg, &[EINTR], When::Every(2)),
    (SYS_sendmsg, &[EINTR], When::Every(2)),
    (SYS_read, &[EINTR], When::Every(2)),
    (SYS_pwritev2, &[EINTR], When::Every(2)),
    (SYS_copy_file_range, &[EINTR], When::Every(2)),
];

/// As above: these would not be true on the portable ring's threads.
const BESIDE_ON_THE_KERNELS_RING: &[Row] =
    &[(SYS_splice, &[EAGAIN], When::Every(2)), (SYS_preadv2, &[EAGAIN], When::Every(2))];

#[test]
fn interrupted_calls_on_files_pipes_datagrams_and_children_are_made_again() {
    isolated(this_test!(), || {
        let mut hit = BTreeMap::new();
        let others = match ring() {
            RingKind::Portable => &[],
            _ => BESIDE_ON_THE_KERNELS_RING,
        };
        for &(call, errnos, when) in BESIDE.iter().chain(others) {
            for &errno in errnos {
                let directory = Directory::new();
                let path = directory.path().to_owned();
                let (done, failed) = failing(call, errno, when, move || do_everything(&path));
                let done = done.unwrap();
                assert!(done.failed.is_empty(), "call {call}, errno {errno}: {:?}", done.failed);
                assert!(done.incidents.is_empty(), "{:?}", done.incidents);
                *hit.entry(call).or_insert(0) += failed;
            }
        }
        hit.retain(|_, failed| *failed > 0);
        assert!(hit.contains_key(&SYS_splice) && hit.len() >= 3, "{hit:?}");
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
    if needs_kernel_ring("the portable ring is not entered by a system call") {
        return;
    }
    isolated(this_test!(), || {
        // So much longer that an enter is tried at its end, on a busy machine, too.
        let longer = When::For(10, Duration::from_millis(1500));
        let (mut outcome, failed) = serve_failing(SYS_io_uring_enter, ENOMEM, longer);
        let incidents = std::mem::take(&mut outcome.incidents);
        assert!(matches!(incidents[..], [Incident::EnterRefused { .. }]), "{incidents:?}");
        assert_eq!(outcome.metrics.refused_enter_calls, failed as u64);
        assert_unnoticed(&outcome, "enter");
    });
}
