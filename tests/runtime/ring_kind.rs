//! Which ring a runtime gets: by its builder, by the environment, and without io_uring.
//!
//! What an environment variable decides, and what is reported once in a process, is tested in
//! processes of their own; refusals are simulated by seccomp filters.

use std::env;
use std::io::{self, ErrorKind};

use annulus::{
    Builder, Incident, RingKind, Runtime, SetupError, Shards, probe, raw_os_error, spawn,
};

use crate::common::child::isolated_on;
use crate::common::incidents::Incidents;
use crate::common::pair::{ask, echo, pair};
use crate::common::seccomp::{Calls, REGISTER_PROBE, refuse_from_now_on, refusing};
use crate::common::watchdog::block_on;
use crate::this_test;

const SETUP: libc::c_long = libc::SYS_io_uring_setup;
const ENTER: libc::c_long = libc::SYS_io_uring_enter;
const REGISTER: libc::c_long = libc::SYS_io_uring_register;

fn kind_of(kind: RingKind) -> Result<RingKind, SetupError> {
    Ok(Builder::new().ring(kind).build()?.metrics().ring)
}

/// Serves an echo on a runtime of the default kind. Returns which ring that is on.
fn serve_an_echo(incidents: &Incidents) -> RingKind {
    let runtime = incidents.runtime();
    block_on(&runtime, async {
        let (mut near, far) = pair().await;
        let server = spawn(echo(far));
        for _ in 0..3 {
            ask(&mut near, b"message").await;
        }
        drop(near);
        server.await.unwrap();
    });
    runtime.metrics().ring
}

#[test]
fn where_io_uring_is_unavailable_the_portable_ring_serves_and_the_process_says_so_once() {
    isolated_on(None, this_test!(), || {
        let incidents = Incidents::default();
        let probe = Calls { number: REGISTER, second_argument: Some(REGISTER_PROBE) };
        let refusals: [(Calls, i32); 10] = [
            (SETUP.into(), libc::EPERM),
            (SETUP.into(), libc::ENOSYS),
            (SETUP.into(), libc::EACCES),
            // What a kernel answers that knows none of the flags.
            (SETUP.into(), libc::EINVAL),
            // A profile may allow to set a ring up, and forbid what comes next.
            (ENTER.into(), libc::EPERM),
            (ENTER.into(), libc::ENOSYS),
            (REGISTER.into(), libc::EPERM),
            (REGISTER.into(), libc::ENOSYS),
            (probe, libc::EPERM),
            (probe, libc::EINVAL),
        ];
        for (calls, errno) in refusals {
            let its = incidents.clone();
            assert_eq!(refusing(calls, errno, move || serve_an_echo(&its)), RingKind::Portable);
        }
        let reported = incidents.take();
        let [Incident::PortableRing { reason }] = reported.as_slice() else {
            panic!("not one report: {reported:?}");
        };
        assert!(
            reason.contains("forbidden") && reason.contains("allow io_uring_setup"),
            "{reason}"
        );
        let line = reported[0].to_string();
        assert!(!line.contains('\n') && line.contains(reason), "one line: {line}");
        assert!(line.contains("RingKind::Portable") && line.contains("ANNULUS_RING=portable"));
    });
}

#[test]
fn where_io_uring_is_available_the_default_is_the_kernels_ring_and_nothing_is_said() {
    isolated_on(None, this_test!(), || {
        let incidents = Incidents::default();
        assert_eq!(serve_an_echo(&incidents), RingKind::Kernel);
        assert_eq!(incidents.count(), 0);
    });
}

#[test]
fn a_portable_ring_that_was_chosen_serves_and_says_nothing() {
    isolated_on(Some("portable"), this_test!(), || {
        let incidents = Incidents::default();
        assert_eq!(serve_an_echo(&incidents), RingKind::Portable);
        assert_eq!(
            refusing(SETUP, libc::EPERM, || kind_of(RingKind::Auto).unwrap()),
            RingKind::Portable
        );
        assert_eq!(incidents.count(), 0);
    });
}

#[test]
fn a_shortage_is_an_error_and_no_reason_for_the_portable_ring() {
    isolated_on(None, this_test!(), || {
        for calls in [SETUP, ENTER, REGISTER] {
            for errno in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN, libc::EBUSY] {
                match refusing(calls, errno, || kind_of(RingKind::Auto)) {
                    // The loop repeats an enter that fails so.
                    Ok(kind) => assert_eq!((calls, kind), (ENTER, RingKind::Kernel)),
                    Err(error) => assert_eq!(raw_os_error(&io::Error::from(error)), Some(errno)),
                }
            }
        }
        assert_eq!(kind_of(RingKind::Auto).unwrap(), RingKind::Kernel);
    });
}

#[test]
fn a_process_without_descriptors_gets_no_ring_and_later_the_kernels() {
    isolated_on(None, this_test!(), || {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let set = |limit: &libc::rlimit| {
            // SAFETY: the call reads one `rlimit`.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) }, 0);
        };
        // SAFETY: the call writes one `rlimit`.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
        set(&libc::rlimit { rlim_cur: 0, ..limit });
        for kind in [RingKind::Auto, RingKind::Kernel, RingKind::Portable] {
            let error = kind_of(kind).unwrap_err();
            let has_remedy = error.to_string().contains("ulimit -n");
            assert!(matches!(error, SetupError::Other(_)) && has_remedy, "{kind:?}: {error}");
        }
        set(&limit);
        assert_eq!(kind_of(RingKind::Auto).unwrap(), RingKind::Kernel);
    });
}

#[test]
fn the_kernels_ring_that_was_chosen_is_refused_with_the_portable_one_as_remedy() {
    isolated_on(Some("kernel"), this_test!(), || {
        for kind in [RingKind::Auto, RingKind::Kernel] {
            let error = refusing(SETUP, libc::EPERM, move || kind_of(kind).unwrap_err());
            assert!(matches!(error, SetupError::Forbidden), "{error}");
            assert!(error.to_string().contains("choose RingKind::Portable"), "{error}");
        }
    });
}

#[test]
fn a_builder_decides_against_the_environment() {
    for variable in ["kernel", "portable", "nonsense"] {
        isolated_on(Some(variable), this_test!(), || {
            assert_eq!(kind_of(RingKind::Kernel).unwrap(), RingKind::Kernel);
            assert_eq!(kind_of(RingKind::Portable).unwrap(), RingKind::Portable);
            match (env::var("ANNULUS_RING").unwrap().as_str(), kind_of(RingKind::Auto)) {
                ("kernel", chosen) => assert_eq!(chosen.unwrap(), RingKind::Kernel),
                ("portable", chosen) => assert_eq!(chosen.unwrap(), RingKind::Portable),
                (_, chosen) => {
                    let error = io::Error::from(chosen.unwrap_err());
                    assert_eq!(error.kind(), ErrorKind::InvalidInput);
                    assert!(error.to_string().contains(r#"ANNULUS_RING is "nonsense""#), "{error}");
                }
            }
        });
    }
}

#[test]
fn all_shards_are_on_the_same_ring_and_one_of_them_says_which() {
    isolated_on(None, this_test!(), || {
        refuse_from_now_on(SETUP, libc::EPERM);
        let incidents = Incidents::default();
        let its = incidents.clone();
        let builder = move |_| {
            let its = its.clone();
            Runtime::builder().on_incident(move |incident| its.report(incident))
        };
        let kinds = Shards::builder().count(3).runtime(builder).run(async |shard| {
            let all = shard.run_on_all(|_| annulus::metrics().ring).await.unwrap();
            assert!(all.iter().all(|&kind| kind == RingKind::Portable), "{all:?}");
            (annulus::metrics().ring,)
        });
        assert_eq!(kinds.unwrap(), [(RingKind::Portable,); 3]);
        assert_eq!(incidents.count(), 1);
        assert!(probe().is_err());
    });
}
