//! The runner: lists every test, skips by name what this kernel cannot run, reports as usual.

mod buffers;
mod cancel;
mod case;
mod completion;
mod datagrams;
mod descriptors;
mod failed_links;
mod file_links;
mod files;
mod layout;
mod limits;
mod links;
mod listeners;
mod messages;
mod multishot;
mod passed_fds;
mod processes;
mod races;
mod registered;
mod setup;
mod sockets;
mod stable;
mod submission;
mod submission_thread;
mod teardown;
mod timeouts;
mod trap;
mod workers;

use std::process::ExitCode;

use case::Case;
use libtest_mimic::Arguments;
use uring_sys_tests::{child, feature};

const SUBJECTS: &[&[Case]] = &[
    setup::CASES,
    submission::CASES,
    layout::CASES,
    submission_thread::CASES,
    stable::CASES,
    completion::CASES,
    cancel::CASES,
    races::CASES,
    teardown::CASES,
    multishot::CASES,
    datagrams::CASES,
    buffers::CASES,
    registered::CASES,
    links::CASES,
    file_links::CASES,
    failed_links::CASES,
    timeouts::CASES,
    sockets::CASES,
    listeners::CASES,
    descriptors::CASES,
    messages::CASES,
    processes::CASES,
    passed_fds::CASES,
    workers::CASES,
    limits::CASES,
];

fn main() -> ExitCode {
    if let Some(name) = child::role() {
        let case = cases().find(|case| case.name() == name).expect("a test of this name");
        child::report(&case.run_here());
    }
    let arguments = Arguments::from_args();
    if let Some(reason) = feature::why_unavailable() {
        eprintln!("{reason}");
        return ExitCode::FAILURE;
    }
    let trials = match feature::why_too_old() {
        None => cases().map(Case::trial).collect(),
        Some(reason) => cases().map(|case| case.skipped(&reason)).collect(),
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn cases() -> impl Iterator<Item = &'static Case> {
    SUBJECTS.iter().copied().flatten()
}
