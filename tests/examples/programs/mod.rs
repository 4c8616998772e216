//! The examples, run as a visitor runs them: with good and bad arguments, with ctrl-c, with peers
//! and readers that vanish, and where io_uring is forbidden.

mod chat;
mod client;
pub(crate) mod demonstrations;
mod doctor;
mod echo;
mod echo_owned;
mod proxy;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use libc::SIGINT;

use crate::common::program::{Echo, Ended, Program, example, exchange};
use crate::common::seccomp::forbid;

/// Those that take an address, or nothing.
const EXAMPLES: [&str; 6] = ["echo", "echo_owned", "client", "chat", "doctor", "shards_broker"];

/// Runs an example to its end.
pub(crate) fn run<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Ended {
    Program::start(example(name).args(arguments)).ended()
}

/// Asserts that an example has ended with `status` and one line of explanation, and gives the line.
#[track_caller]
pub(crate) fn complaint(name: &str, ended: &Ended, status: i32) -> String {
    assert_eq!(ended.status.code(), Some(status), "{ended:?}");
    assert_eq!(ended.stdout, [""; 0], "{ended:?}");
    let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
    assert!(line.starts_with(&format!("{name}: ")), "it does not say who speaks: {line}");
    line.clone()
}

mod arguments {
    use super::*;

    #[test]
    fn help_is_an_answer_and_no_error() {
        for name in EXAMPLES {
            for help in ["-h", "--help"] {
                let ended = run(name, &[help]);
                assert!(ended.status.success(), "{ended:?}");
                assert_eq!(ended.stderr, [""; 0]);
                let usage = format!("Usage: {name}");
                assert!(ended.stdout.iter().any(|line| line.starts_with(&usage)), "{ended:?}");
            }
        }
    }

    #[test]
    fn a_wrong_argument_is_explained_in_one_line() {
        let wrong =
            ["", "nonsense", "127.0.0.1", ":7000", "127.0.0.1:", "127.0.0.1:65536", "--port"];
        for name in EXAMPLES {
            for argument in wrong {
                assert!(complaint(name, &run(name, &[argument]), 2).contains("--help"));
            }
            let two = ["127.0.0.1:7000", "127.0.0.1:7001"];
            assert!(complaint(name, &run(name, &two), 2).contains("--help"));
            let not_unicode = OsString::from_vec(vec![0xff, b':', b'1']);
            assert!(complaint(name, &run(name, &[not_unicode]), 2).contains("--help"));
        }
    }

    #[test]
    fn the_wrong_part_of_an_address_is_named() {
        for (argument, fault) in [
            ("localhost:99999", "\"99999\" in \"localhost:99999\" is not a port"),
            ("127.0.0.1", "\"127.0.0.1\" is not an address with a port, like 127.0.0.1:7000"),
            (":7000", "\":7000\" has no host"),
            ("::1", "needs brackets, like [::1]:7000"),
        ] {
            let line = complaint("echo", &run("echo", &[argument]), 2);
            assert!(line.contains(fault), "{line}");
        }
    }
}

mod without_io_uring {
    use super::*;

    /// A program for which the kernel answers `errno` to every call that makes a ring.
    fn without(name: &str, errno: i32, ring: &str) -> Command {
        let mut command = example(name);
        forbid(command.env("ANNULUS_RING", ring), libc::SYS_io_uring_setup, errno);
        command
    }

    fn complaint_of(name: &str, errno: i32) -> String {
        complaint(name, &Program::start(&mut without(name, errno, "kernel")).ended(), 1)
    }

    #[test]
    fn a_seccomp_profile_that_forbids_the_chosen_ring_is_named_with_the_remedy() {
        for name in EXAMPLES {
            let line = complaint_of(name, libc::EPERM);
            assert!(line.contains("seccomp") && line.contains("io_uring_setup"), "{line}");
        }
    }

    #[test]
    fn a_kernel_without_the_chosen_ring_is_named_with_the_remedy() {
        for name in EXAMPLES {
            let line = complaint_of(name, libc::ENOSYS);
            assert!(line.contains("ENOSYS") && line.contains("Linux 6.1"), "{line}");
        }
    }

    #[test]
    fn echo_serves_where_io_uring_is_forbidden_and_says_so_in_one_line() {
        for errno in [libc::EPERM, libc::ENOSYS] {
            let mut echo = Echo::of(without("echo", errno, "").arg("127.0.0.1:0"));
            exchange(&mut echo.connect());
            echo.program.child.signal(SIGINT);
            let ended = echo.program.ended();
            assert!(ended.status.success(), "{ended:?}");
            let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
            let expected = "annulus: the portable ring is used, which costs more: ";
            assert!(line.starts_with(expected) && line.contains("io_uring"), "{line}");
        }
    }
}
