//! Programs where a container would run them: under the system calls that Docker, Kubernetes and
//! gVisor allow by default, of which none allows io_uring.
//!
//! The example `sandboxed` puts the published lists over a program. Nothing here chooses a ring.

use std::io;
use std::process::Command;

use libc::{EOPNOTSUPP, EPERM, c_long};

use crate::common::child::{self, role};
use crate::common::program::example;
use crate::this_test;

const PROFILES: [&str; 3] = ["docker", "containerd", "gvisor"];

/// A program under a profile.
fn under(profile: &str, program: &Command) -> Command {
    let mut command = example("sandboxed");
    command.arg(profile).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    // The program is to find out by itself that there is no io_uring.
    command.env_remove("ANNULUS_RING");
    command
}

/// The error of a system call, or 0.
fn errno_of(number: c_long, arguments: [c_long; 6]) -> i32 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: each call here names no memory, or none that is valid.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}

#[test]
fn each_profile_answers_calls_as_its_runtime_has_published_it() {
    let Some(profile) = role() else {
        for profile in PROFILES {
            let mut command = under(profile, &child::command(this_test!(), profile));
            let output = command.output().expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        return;
    };
    let is_gvisor = profile == "gvisor";
    let of = |number, first: c_long| errno_of(number, [first, 0, 0, 0, 0, 0]);
    let missing = if is_gvisor { libc::ENOSYS } else { EPERM };
    for number in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register]
    {
        assert_eq!(of(number, -1), missing);
    }
    assert_eq!(of(470, 0), missing, "a call that is newer than the list");
    assert_eq!(of(libc::SYS_close, -1), libc::EBADF, "what is allowed reaches the kernel");
    std::thread::spawn(|| ()).join().expect("threads start, by clone if not by clone3");
    let with_flags = errno_of(libc::SYS_preadv2, [-1, 0, 0, 0, 0, c_long::from(libc::RWF_NOWAIT)]);
    if is_gvisor {
        assert_eq!(with_flags, EOPNOTSUPP);
        assert_eq!(errno_of(libc::SYS_preadv2, [-1, 0, 0, 0, 0, 0]), libc::EBADF);
        assert_eq!(errno_of(libc::SYS_fallocate, [-1, 1, 0, 1, 0, 0]), EOPNOTSUPP);
        assert_eq!(of(libc::SYS_openat2, -1), libc::ENOSYS);
    } else {
        assert_eq!(with_flags, libc::EBADF);
        assert_eq!(of(libc::SYS_clone3, 0), libc::ENOSYS);
        assert_eq!(of(libc::SYS_unshare, 0), EPERM);
        assert_eq!(of(libc::SYS_clone, libc::CLONE_NEWNET.into()), EPERM);
        assert_eq!(of(libc::SYS_socket, libc::AF_VSOCK.into()), EPERM);
        assert_eq!(of(libc::SYS_personality, 0x40_0000), EPERM);
        assert_eq!(of(libc::SYS_personality, 0xffff_ffff), 0, "a query");
    }
}
