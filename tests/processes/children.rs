//! `process`: children, their status, their pipes, and that none is left behind.
//!
//! What counts the children of the process, or changes what it does at SIGCHLD, is in
//! `children_left.rs`.

use std::future::IntoFuture;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};
use std::time::Duration;

use annulus::blocking::to_thread;
use annulus::io::StreamReader;
use annulus::process::{Child, Command};
use annulus::signal::SignalKind;
use annulus::time::timeout;
use annulus::{raw_os_error, spawn, yield_now};
use libc::{ECHILD, ENOENT, SIGKILL, SIGPIPE, SIGTERM, SIGUSR1};

use crate::common::conditions::{poll_once, until};
use crate::common::patience::limit;
use crate::common::watchdog::run;

pub(crate) fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A shell whose three streams are pipes.
fn piped(script: &str) -> Command {
    let mut command = sh(script);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A child that runs until it is killed, or its input ends.
fn lasting() -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

async fn within<F: IntoFuture>(future: F) -> F::Output {
    timeout(limit(), future.into_future()).await.expect("in time")
}

/// Whether a process is a zombie; `None` if there is none of this number.
pub(crate) fn is_zombie(number: u32) -> Option<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    Some(stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

#[test]
fn a_status_is_the_code_or_the_signal_of_the_child() {
    run(async {
        for code in [0, 1, 7, 255] {
            let status = sh(&format!("exit {code}")).status().await.unwrap();
            assert_eq!((status.code(), status.signal()), (Some(code), None));
        }
        for signal in [SIGTERM, SIGKILL, SIGUSR1] {
            let status = sh(&format!("kill -{signal} $$")).status().await.unwrap();
            assert_eq!((status.code(), status.signal()), (None, Some(signal)));
        }
    });
}

#[test]
fn a_program_that_is_not_there_is_an_error_that_names_it() {
    run(async {
        let error = Command::new("/no/such/program").spawn().unwrap_err();
        assert_eq!((error.kind(), raw_os_error(&error)), (ErrorKind::NotFound, Some(ENOENT)));
        assert!(error.to_string().starts_with("spawn \"/no/such/program\": "), "{error}");
        let error = Command::new("/").output().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn the_methods_of_the_builder_reach_the_child() {
    run(async {
        let mut command = sh("echo $0 \"$@\" \"$FIRST$SECOND$THIRD\"; pwd; echo $HOME");
        command.args(["zero", "one"]).arg("two").env("FIRST", "1").envs([("SECOND", "2")]);
        command.env("THIRD", "3").env_remove("THIRD").current_dir("/").env("HOME", "");
        assert_eq!(command.get_program(), "sh");
        assert_eq!(command.get_args().count(), 5);
        assert_eq!(command.get_current_dir(), Some("/".as_ref()));
        assert_eq!(command.get_envs().count(), 4);
        let output = command.output().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "zero one two 12\n/\n\n");

        let mut command = Command::new("/bin/sh");
        command.arg0("other").args(["-c", "ps -o pgid= $$ 2>/dev/null || echo $$; echo $$"]);
        let output = command.process_group(0).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut words = text.split_whitespace();
        assert_eq!(words.next(), words.next(), "it leads a group of its own");

        let mut command = Command::new("env");
        let output = command.env_clear().env("ONLY", "this").output().await.unwrap();
        assert_eq!(output.stdout, b"ONLY=this\n");
    });
}

#[test]
fn output_is_collected_and_spawn_afterwards_inherits_again() {
    run(async {
        let mut command = sh("read line; echo out$line; echo err >&2");
        let output = command.output().await.unwrap();
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
        assert!(output.status.success());
        // What was set stays so.
        command.stderr(Stdio::null());
        let output = command.output().await.unwrap();
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b""[..]));
        let child = sh("exit 0").spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
    });
}

#[test]
fn a_child_is_written_to_and_read_as_streams() {
    run(async {
        let mut child = piped("while read line; do echo got $line; done; exit 3").spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut lines = StreamReader::new(child.stdout.take().unwrap());
        for line in ["one", "two", "three"] {
            input.write_all(format!("{line}\n")).await.0.unwrap();
            let answer = within(lines.read_line()).await.unwrap();
            assert_eq!(&*answer, format!("got {line}\n").as_bytes());
        }
        drop(input);
        assert!(lines.read_line().await.unwrap().is_empty());
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        // The status stays.
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(3));
    });
}

#[test]
fn communicate_moves_ten_megabytes_each_way_at_once() {
    run(async {
        let input: Vec<u8> = (0..10 << 20).map(|nth: u32| (nth / 5) as u8).collect();
        let mut child = piped("tee /dev/stderr").spawn().unwrap();
        let output = within(child.communicate(input.clone())).await.unwrap();
        assert!(output.status.success());
        assert!(output.stdout == input && output.stderr == input);
    });
}

#[test]
fn communicate_without_input_is_eof_for_the_child() {
    run(async {
        for input in [Vec::new(), b"x".to_vec()] {
            let mut child = piped("cat; echo end").spawn().unwrap();
            let output = within(child.communicate(input.clone())).await.unwrap();
            assert_eq!(output.stdout, [&input[..], b"end\n"].concat());
        }
        // Without any pipe it is a wait.
        let output = within(sh("exit 4").spawn().unwrap().communicate("")).await.unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0));
    });
}

#[test]
fn a_child_that_does_not_read_its_input_is_no_error_for_communicate() {
    run(async {
        for script in ["exit 5", "exec <&-; sleep 0.01; exit 5", "head -c 1 >/dev/null; exit 5"] {
            let mut child = piped(script).spawn().unwrap();
            let output = within(child.communicate(vec![0; 1 << 20])).await.unwrap();
            assert_eq!(output.status.code(), Some(5), "{script}");
        }
        let mut child = piped("exit 5").spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let error = within(input.write_all(vec![0; 1 << 20])).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn an_input_without_a_pipe_is_refused_before_anything_is_done() {
    run(async {
        let mut child = sh("echo x").stdout(Stdio::piped()).spawn().unwrap();
        let error = child.communicate("input").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(child.communicate("").await.unwrap().stdout, b"x\n");
    });
}

#[test]
fn a_dropped_communicate_leaves_a_child_that_can_be_killed() {
    run(async {
        let mut child = piped("exec sleep 600").spawn().unwrap();
        timeout(Duration::from_millis(2), child.communicate("x")).await.unwrap_err();
        within(child.kill()).await.unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(SIGKILL));
    });
}

#[test]
fn ten_concurrent_waits_agree() {
    run(async {
        let mut child = piped("read line; exit 9").spawn().unwrap();
        let waits: Vec<_> = (0..10).map(|_| spawn(child.exited())).collect();
        yield_now().await;
        assert!(child.try_wait().unwrap().is_none());
        assert_eq!(within(child.wait()).await.unwrap().code(), Some(9));
        for wait in waits {
            assert_eq!(within(wait).await.unwrap().unwrap().code(), Some(9));
        }
        let late = child.exited();
        drop(child);
        assert_eq!(within(late).await.unwrap().code(), Some(9));
    });
}

#[test]
fn wait_closes_the_input_and_exited_does_not() {
    run(async {
        let mut child = lasting();
        timeout(Duration::from_millis(5), child.exited()).await.unwrap_err();
        assert!(within(child.wait()).await.unwrap().success());
    });
}

#[test]
fn a_wait_that_is_dropped_at_any_moment_loses_no_status() {
    run(async {
        for polls in 0..20 {
            let mut child = sh("exit 6").spawn().unwrap();
            let mut wait = Box::pin(child.exited());
            for _ in 0..polls {
                if poll_once(&mut wait).is_ready() {
                    break;
                }
                yield_now().await;
            }
            drop(wait);
            assert_eq!(within(child.wait()).await.unwrap().code(), Some(6));
        }
    });
}

#[test]
fn a_child_that_has_ended_already_is_waited_for_at_once() {
    run(async {
        let mut child = sh("exit 2").spawn().unwrap();
        until(|| is_zombie(child.id()) == Some(true)).await;
        assert_eq!(child.wait().await.unwrap().code(), Some(2));
        assert_eq!(is_zombie(child.id()), None);
        let child = sh("exit 2").spawn().unwrap();
        until(|| child.try_wait().unwrap().is_some()).await;
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(2));
    });
}

#[test]
fn signals_end_a_child_and_to_one_that_has_ended_they_are_nothing() {
    run(async {
        let mut killed = lasting();
        within(killed.kill()).await.unwrap();
        assert_eq!(killed.wait().await.unwrap().signal(), Some(SIGKILL));
        let mut terminated = lasting();
        terminated.terminate().unwrap();
        assert_eq!(within(terminated.exited()).await.unwrap().signal(), Some(SIGTERM));
        let mut child = piped("trap 'exit 12' USR1; echo ready; while :; do sleep 0.01; done");
        let mut child = child.spawn().unwrap();
        let mut lines = StreamReader::new(child.stdout.take().unwrap());
        assert_eq!(&*lines.read_line().await.unwrap(), b"ready\n");
        child.send_signal(SignalKind::user_defined1()).unwrap();
        assert_eq!(within(child.wait()).await.unwrap().code(), Some(12));
        for child in [&mut killed, &mut terminated, &mut child] {
            child.start_kill().unwrap();
            child.terminate().unwrap();
            child.send_signal(SignalKind::from_raw(0)).unwrap();
            within(child.kill()).await.unwrap();
        }
        let error = lasting().send_signal(SignalKind::from_raw(1000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("send signal 1000 to process "), "{error}");
    });
}

#[test]
fn a_stopped_child_has_not_ended() {
    run(async {
        let mut child = lasting();
        child.send_signal(SignalKind::from_raw(libc::SIGSTOP)).unwrap();
        timeout(Duration::from_millis(5), child.exited()).await.unwrap_err();
        assert!(child.try_wait().unwrap().is_none());
        child.send_signal(SignalKind::from_raw(libc::SIGCONT)).unwrap();
        assert!(within(child.wait()).await.unwrap().success());
    });
}

/// The grandchild has the pipe, and lives on.
#[test]
fn wait_returns_while_a_grandchild_holds_the_pipes_and_their_end_is_awaited_for_the_output() {
    run(async {
        let script = "(read line; echo late) <&3 & echo early";
        let mut command = sh(&format!("exec 3<&0; {script}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        assert!(within(child.exited()).await.unwrap().success());
        let (stdin, mut stdout) = (child.stdin.take(), child.stdout.take());
        assert_eq!(&*stdout.as_mut().unwrap().recv().await.unwrap(), b"early\n");
        child.stdout = stdout;
        let mut output = Box::pin(child.wait_with_output());
        assert!(timeout(Duration::from_millis(5), output.as_mut()).await.is_err());
        drop(stdin);
        let Output { stdout, status, .. } = within(output).await.unwrap();
        assert!(status.success() && stdout == b"late\n");
    });
}

#[test]
fn output_can_be_read_after_the_child_has_ended() {
    run(async {
        let mut child = piped("echo last words").spawn().unwrap();
        assert!(within(child.wait()).await.unwrap().success());
        let output = within(child.wait_with_output()).await.unwrap();
        assert_eq!(output.stdout, b"last words\n");
    });
}

#[test]
fn a_child_has_the_default_effect_of_sigpipe_and_no_signal_blocked() {
    run(async {
        let output = sh("exec cat /proc/self/status").output().await.unwrap().stdout;
        let text = String::from_utf8(output).unwrap();
        let signals = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        assert_eq!(signals("SigBlk:"), 0);
        assert_eq!(signals("SigIgn:") & 1 << (SIGPIPE - 1), 0);
        let mut child = piped("exec yes").spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(within(child.wait()).await.unwrap().signal(), Some(SIGPIPE));
    });
}

#[test]
fn a_child_inherits_no_descriptor_but_its_streams() {
    run(async {
        // As many pipes as before there are others': one that had the first one's would keep it.
        let list = async || {
            let listing = sh("ls -l /proc/$$/fd").stdin(Stdio::null()).output().await.unwrap();
            let listing = String::from_utf8(listing.stdout).unwrap();
            assert!(!listing.contains("anon_inode:"), "{listing}");
            listing.matches("pipe:").count()
        };
        let before = list().await;
        let mut first = lasting();
        let second = lasting();
        assert_eq!(list().await, before);
        assert!(within(first.wait()).await.unwrap().success());
        drop(second);
    });
}

#[test]
fn a_pidfd_names_the_child_and_the_number_stays() {
    run(async {
        let mut child = lasting();
        let number = child.id();
        let pidfd = child.pidfd().unwrap().as_raw_fd();
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{pidfd}")).unwrap();
        assert!(info.lines().any(|line| line == format!("Pid:\t{number}")), "{info}");
        assert!(format!("{child:?}").starts_with(&format!("Child {{ id: {number}")));
        child.wait().await.unwrap();
        assert_eq!(child.id(), number);
    });
}

#[test]
fn a_child_of_the_standard_library_is_taken_over() {
    run(async {
        let mut command = std::process::Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = to_thread(move || command.spawn()).await.unwrap().unwrap();
        let mut child = Child::from_std(started).unwrap();
        assert_eq!(child.communicate("hello").await.unwrap().stdout, b"hello");
        // One that was waited for has no name any more, but a status.
        let mut waited = std::process::Command::new("true").spawn().unwrap();
        waited.wait().unwrap();
        let mut child = Child::from_std(waited).unwrap();
        assert!(child.pidfd().is_none());
        child.start_kill().unwrap();
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn a_status_that_other_code_takes_is_an_error_for_all_waits() {
    run(async {
        let mut child = lasting();
        let wait = spawn(child.exited());
        yield_now().await;
        let number = child.id() as libc::pid_t;
        child.start_kill().unwrap();
        // SAFETY: the call writes nothing, as it is given no place for the status.
        assert_eq!(unsafe { libc::waitpid(number, std::ptr::null_mut(), 0) }, number);
        for outcome in [within(wait).await.unwrap(), child.wait().await] {
            let error = outcome.unwrap_err();
            assert_eq!(raw_os_error(&error), Some(ECHILD));
            assert!(error.to_string().contains("status was taken by other code"), "{error}");
        }
        assert_eq!(raw_os_error(&child.try_wait().unwrap_err()), Some(ECHILD));
        child.start_kill().unwrap();
    });
}
