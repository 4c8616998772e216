//! What the doctor says of this machine.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use super::complaint;
use crate::common::program::{Program, example};
use crate::common::seccomp::forbid;

#[test]
fn doctor_lists_what_the_library_probes_in_columns_and_says_which_ring_a_runtime_is_on() {
    let probe = annulus::probe().unwrap();
    for (ring, verdict) in [("auto", "on the kernel's ring"), ("portable", "as ANNULUS_RING")] {
        let ended = Program::start(example("doctor").env("ANNULUS_RING", ring)).ended();
        assert!(ended.status.success());
        assert_eq!(ended.stderr, [""; 0]);

        let [title, lines @ .., blank, last] = ended.stdout.as_slice() else {
            panic!("too short: {ended:?}");
        };
        let column = title.find("since").unwrap();
        assert_eq!(lines.len(), probe.facilities().len());
        for (line, facility) in lines.iter().zip(probe.facilities()) {
            let (name, rest) = line.split_at(column);
            assert_eq!(name.trim_end(), facility.name);
            assert!(rest.starts_with(facility.since), "out of column: {line}");
        }
        assert_eq!(blank, "");
        assert!(last.contains(verdict) && last.contains(probe.kernel()), "{last}");
    }
}

#[test]
fn doctor_says_where_io_uring_is_forbidden_what_would_allow_it() {
    let mut command = example("doctor");
    forbid(command.env_remove("ANNULUS_RING"), libc::SYS_io_uring_setup, libc::EPERM);
    let ended = Program::start(&mut command).ended();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr, [""; 0]);
    let [reason, blank, verdict] = ended.stdout.as_slice() else { panic!("{ended:?}") };
    assert!(reason.starts_with("no io_uring: ") && reason.contains("allow io_uring_setup"));
    assert!(!reason.contains("RingKind"), "it is on the portable ring already: {reason}");
    assert_eq!(
        (blank.as_str(), verdict.as_str()),
        ("", "Annulus runs here, on the portable ring.")
    );
}

#[test]
fn doctor_fails_where_no_runtime_can_be_made() {
    let ended = Program::start(example("doctor").env("ANNULUS_RING", "epoll")).ended();
    assert_eq!(ended.stdout, [""; 0]);
    let expected = "ANNULUS_RING is \"epoll\": set it to auto, kernel or portable, or unset it";
    assert!(complaint("doctor", &ended, 1).contains(expected), "{ended:?}");
}

#[test]
fn doctor_does_not_panic_when_its_output_is_closed() {
    let (output, reader) = UnixStream::pair().unwrap();
    drop(reader);
    let mut command = example("doctor");
    let output = command.stdout(OwnedFd::from(output)).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
