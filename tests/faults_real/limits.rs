//! Few descriptors, little memory, no threads: what cannot begin says why, and what has begun
//! serves everyone, if one after the other.

use annulus::RingKind;
use libc::{EAGAIN, ENOMEM, RLIMIT_AS, RLIMIT_DATA, RLIMIT_NOFILE};

use crate::common::child::{command, isolated, role};
use crate::common::descriptors::open;
use crate::common::directory::Directory;
use crate::common::program::Program;
use crate::common::seccomp::without_threads;
use crate::everything::do_everything;
use crate::service::{Clients, Load, ring, serve_others, told};
use crate::this_test;

const LOAD: Load = Load { clients: 6, exchanges: 3, most: 30_000 };

/// Starts a server in a child process that does as `role` says first.
fn server(test: &str, role: &str) -> Program {
    Program::start(&mut command(test, role))
}

/// Lets this process have so much of a resource and no more.
fn limit(resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the call reads one limit.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
}

/// How many descriptors the child has open.
fn open_in(program: &Program) -> usize {
    let directory = format!("/proc/{}/fd", program.child.id());
    std::fs::read_dir(directory).expect("it runs").count()
}

/// A ring, a bell and three listeners take some; the connections share what is left.
#[test]
fn with_few_descriptors_a_server_says_that_it_lacks_them_or_serves_one_after_the_other() {
    if let Some(role) = role() {
        limit(RLIMIT_NOFILE, open() as u64 + role.parse::<u64>().unwrap());
        return serve_others();
    }
    let (mut refused, mut served) = (0, 0);
    for left in [1, 2, 3, 4, 5, 6, 7, 8, 12, 24] {
        let mut program = server(this_test!(), &left.to_string());
        match told(&mut program) {
            Err(error) => {
                assert!(error.contains("Too many open files"), "{left}: {error}");
                assert!(!error.contains('\n'), "{error}");
                refused += 1;
            }
            Ok(addresses) => {
                let status = format!("/proc/{}/limits", program.child.id());
                let limits = std::fs::read_to_string(status).unwrap();
                let limit = limits.lines().find_map(|line| {
                    line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok()
                });
                let limit: usize = limit.expect("it is limited");
                if open_in(&program) >= limit {
                    // Not one is left for a connection.
                    continue;
                }
                let tally = Clients::new(LOAD).go(addresses).join().unwrap();
                assert_eq!(tally.echoed, LOAD.clients * LOAD.exchanges, "{left}: {tally:?}");
                assert_eq!((tally.corrupt, tally.ended, tally.refused), (0, 0, 0), "{left}");
                served += 1;
            }
        }
    }
    assert!(refused >= 2 && served >= 3, "{refused} refused, {served} served");
}

#[test]
#[cfg_attr(annulus_unpooled, ignore = "a sanitizer maps terabytes")]
fn with_little_memory_a_server_says_that_it_lacks_it_or_serves_everyone() {
    if let Some(role) = role() {
        let (resource, megabytes) = role.split_once(' ').unwrap();
        // Of what the process has: all pages for the one, private ones for the other.
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let kilobytes = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap()
        };
        let more = megabytes.parse::<u64>().unwrap() << 20;
        match resource {
            "as" => limit(RLIMIT_AS, (kilobytes("VmSize:") << 10) + more),
            _ => limit(RLIMIT_DATA, (kilobytes("VmData:") << 10) + more),
        }
        return serve_others();
    }
    let mut served = 0;
    for resource in ["as", "data"] {
        for megabytes in [64, 16, 8, 4] {
            let role = format!("{resource} {megabytes}");
            let mut program = server(this_test!(), &role);
            match told(&mut program) {
                Err(error) => assert!(error.contains("ENOMEM"), "{role}: {error}"),
                Ok(addresses) => {
                    let tally = Clients::new(LOAD).go(addresses).join().unwrap();
                    let status = program.child.try_wait().unwrap();
                    assert!(status.is_none(), "{role}: {status:?}, {:?}", program.ended());
                    assert_eq!(tally.echoed, LOAD.clients * LOAD.exchanges, "{role}: {tally:?}");
                    assert_eq!((tally.corrupt, tally.ended), (0, 0), "{role}: {tally:?}");
                    served += 1;
                }
            }
        }
    }
    assert!(served >= 4, "{served} served");
}

/// Sockets, pipes and timers need none, on any ring; files need some on the portable one.
#[test]
fn without_threads_what_needs_one_fails_and_nothing_else() {
    const NEED_ONE: &[&str] = &["copy", "directories", "process", "thread"];
    const ON_THE_PORTABLE_RING: &[&str] = &["file", "look-up", "send file", "whole files"];
    isolated(this_test!(), || {
        let directory = Directory::new();
        let path = directory.path().to_owned();
        let failed = without_threads(move || do_everything(&path)).unwrap().failed;
        let may_fail = |name: &str| {
            let is_portable = ring() == RingKind::Portable;
            NEED_ONE.contains(&name) || is_portable && ON_THE_PORTABLE_RING.contains(&name)
        };
        for (name, error) in &failed {
            assert!(may_fail(name), "{name}: {error}");
            let errno = annulus::raw_os_error(error);
            assert!(matches!(errno, Some(EAGAIN | ENOMEM)), "{name}: {error}");
        }
        assert!(failed.iter().any(|(name, _)| *name == "thread"), "{failed:?}");
    });
}
