//! A test that this kernel cannot run is reported as skipped, and does not pass in silence.
//!
//! The standard harness has no such verdict for a test that has begun. So the reason goes to the
//! process's standard error, past the harness's capture: one line `skipped: TEST: REASON`. With
//! `ANNULUS_SKIP=fail` a skip is a failure, for machines that are known to have everything.

use std::env;
use std::io::{self, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::thread;

use annulus::{Builder, Runtime, SetupError, probe};

/// Reports that the running test is skipped. The caller returns.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    let test = thread::current().name().unwrap_or("unnamed").to_owned();
    assert!(
        env::var_os("ANNULUS_SKIP").is_none_or(|wish| wish != "fail"),
        "{test} would be skipped: {reason}"
    );
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
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

/// Whether the kernel lacks one of these facilities, by their names in [`probe`]; reports a skip if
/// so.
#[track_caller]
pub(crate) fn lacks(names: &[&str]) -> bool {
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
