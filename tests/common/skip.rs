//! A test that cannot run here is reported as skipped, and does not pass in silence.
//!
//! The standard harness has no such verdict for a test that has begun. So the reason goes to the
//! process's standard error, past the harness's capture: one line `skipped: TEST: REASON`. If
//! `ANNULUS_SKIPPED` names a file, the line is appended to it as well, with the test's binary, and
//! `ci/skipped` counts what a run has skipped. With `ANNULUS_SKIP=fail` a skip for want of a
//! feature is a failure, for machines that are known to have everything.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::thread;

use annulus::{Builder, RingKind, Runtime, SetupError, probe};

/// Reports that the running test is skipped. The caller returns.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    assert!(
        env::var_os("ANNULUS_SKIP").is_none_or(|wish| wish != "fail"),
        "{} would be skipped: {reason}",
        running_test()
    );
    report(reason);
}

/// Whether the tests are on another ring than the kernel's; reports a skip if so.
///
/// For what can only be true of the kernel's ring. `docs/portable.md` lists the tests that call
/// this, with their reasons.
pub(crate) fn needs_kernel_ring(reason: &str) -> bool {
    let is_other = ring() != RingKind::Kernel;
    if is_other {
        report(reason);
    }
    is_other
}

/// The ring that a test's runtimes are on if it does not choose one.
pub(crate) fn ring() -> RingKind {
    let runtime = Builder::new().on_incident(|_| ()).build();
    runtime.unwrap_or_else(|error| panic!("{error}")).metrics().ring
}

fn report(reason: &str) {
    let line = format!("{}: {reason}\n", running_test());
    let _ = write!(io::stderr(), "skipped: {line}");
    if let Some(path) = env::var_os("ANNULUS_SKIPPED") {
        let binary = env::args().next().unwrap_or_default();
        let line = format!("{binary}: {line}");
        // One write to a file that is appended to: tests of several processes do not mix.
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("ANNULUS_SKIPPED");
    }
}

/// The name of the running test, by which its thread is called, unless it is the only one of its
/// process.
fn running_test() -> String {
    let name = thread::current().name().unwrap_or("unnamed").to_owned();
    if name != "main" {
        return name;
    }
    env::args().skip_while(|argument| argument != "--exact").nth(1).unwrap_or(name)
}

/// A runtime with the options of `builder`; `None`, and a report, if the kernel is too old for one.
#[track_caller]
pub(crate) fn build_or_skip(builder: Builder) -> Option<Runtime> {
    match builder.build() {
        Ok(runtime) => Some(runtime),
        Err(SetupError::OptionUnsupported { option, since }) => {
            skip(&format!("{option} needs Linux {since}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Whether the machine has no IPv6; reports a skip if so.
#[track_caller]
pub(crate) fn lacks_ipv6() -> bool {
    let is_missing = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err();
    if is_missing {
        skip("the machine has no IPv6");
    }
    is_missing
}

/// Whether the ring lacks one of these facilities, by their names in [`probe`]; reports a skip if
/// so.
#[track_caller]
pub(crate) fn lacks(names: &[&str]) -> bool {
    if ring() == RingKind::Portable {
        // It has all of them.
        return false;
    }
    let probe = probe().expect("io_uring works here");
    let missing = names.iter().find(|&&name| {
        let facility = probe.facilities().iter().find(|facility| facility.name == name);
        !facility.unwrap_or_else(|| panic!("no facility is called {name:?}")).supported
    });
    if let Some(name) = missing {
        skip(&format!("the kernel lacks {name}"));
    }
    missing.is_some()
}
