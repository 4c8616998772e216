//! Programs where a container would run them: under the system calls that Docker, Kubernetes and
//! gVisor allow by default, of which none allows io_uring.
//!
//! The example `sandboxed` puts the published lists over a program. Nothing here chooses a ring.

use std::env;
use std::io;
use std::process::{Command, Stdio};

use libc::{EOPNOTSUPP, EPERM, SIGTERM, c_long};

use crate::common::child::{self, role};
use crate::common::program::{Ended, Program, connect, example, exchange, listening_address};
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

/// Asserts that a program has said once, and nothing else, that it is on the portable ring.
#[track_caller]
fn assert_said_once(ended: &Ended) {
    assert!(ended.status.success(), "{ended:?}");
    let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
    assert!(line.contains("portable ring") && line.contains("io_uring"), "{line}");
}

#[test]
fn a_server_and_a_client_in_containers_say_once_that_the_portable_ring_is_used_and_serve() {
    for profile in PROFILES {
        let mut server = Program::start(&mut under(profile, example("echo").arg("127.0.0.1:0")));
        let address = listening_address(&server.stdout.next().expect("where it listens"));
        let mut streams: Vec<_> = (0..20).map(|_| connect(address)).collect();
        streams.iter_mut().for_each(exchange);
        drop(streams);
        let mut command = under(profile, example("client").arg(address.to_string()));
        let mut client = Program::start(command.stdin(Stdio::piped()));
        client.type_in("from one container\nto another\n");
        client.end_input();
        let ended = client.ended();
        assert_said_once(&ended);
        assert_eq!(ended.stdout, ["from one container", "to another"]);
        server.child.signal(SIGTERM);
        assert_said_once(&server.ended());
    }
}

#[test]
fn shards_in_a_container_say_once_for_all_that_the_portable_ring_is_used() {
    let ended = Program::start(&mut under("docker", &example("shards_hello"))).ended();
    assert_said_once(&ended);
    assert_eq!(ended.stdout.last().unwrap(), "the shards returned [0, 1]");
}

#[test]
fn doctor_in_a_container_says_that_programs_run_on_the_portable_ring_and_why() {
    for profile in PROFILES {
        let ended = Program::start(&mut under(profile, &example("doctor"))).ended();
        assert!(ended.status.success(), "{ended:?}");
        let text = ended.stdout.join("\n");
        assert!(text.contains("portable ring"), "{text}");
    }
}

/// Tests of this binary that run programs: with the clients that this project did not write, with
/// files, pipes, child processes and shards.
const TESTS: [&str; 10] = [
    "cat::every_kind_of_standard_input_is_read_to_its_end",
    "cp::cp_copies_files_of_every_length_and_what_has_none",
    "http::curl_gets_files_with_their_lengths_and_none_beside_the_directory",
    "http::curl_posts_with_a_length_in_chunks_and_after_100_continue",
    "kv::clients::redis_cli_shows_replies_in_both_versions",
    "log_store::clients_of_the_log_share_commits",
    "process_pool::a_process_pool_replaces_workers_that_die_and_ends_in_order",
    "programs::proxy::bytes_and_eof_go_through_the_proxy_in_both_directions",
    "shards::the_server_on_shards_answers_lines_and_reports_for_each_shard_at_sigterm",
    "tail::a_file_is_followed_when_it_grows_when_it_shrinks_and_when_it_is_replaced",
];

#[test]
fn programs_pass_their_tests_where_a_container_forbids_io_uring() {
    let this = env::current_exe().expect("the path of this binary");
    for profile in ["docker", "gvisor"] {
        let mut command = under(profile, Command::new(&this).arg("--exact").args(TESTS));
        // Chosen, so that nothing is said that these tests do not expect.
        let ended = Program::start(command.env("ANNULUS_RING", "portable")).ended();
        let text = [ended.stdout, ended.stderr].concat().join("\n");
        assert!(ended.status.success(), "under {profile}:\n{text}");
        assert!(text.contains(&format!("{} passed", TESTS.len())), "under {profile}:\n{text}");
    }
}
