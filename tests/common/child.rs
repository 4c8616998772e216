//! Running one test of this binary in a process of its own: a test that changes what belongs to the
//! whole process, or may end it.

use std::any::type_name_of_val;
use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::bounded::bounded;

/// The full name of the test that this expression is in.
#[macro_export]
macro_rules! this_test {
    () => {{
        fn here() {}
        $crate::common::child::test_around(here)
    }};
}

/// The test around a function, by the names of the modules and the test: the harness's own name for
/// it.
pub(crate) fn test_around<F: Fn()>(here: F) -> &'static str {
    let path = type_name_of_val(&here);
    let (_binary, path) = path.split_once("::").expect("a function is in a crate");
    path.split("::{{closure}}").next().map_or(path, |test| test.trim_end_matches("::here"))
}

/// Its value says what the child is to do.
const ROLE: &str = "ANNULUS_TEST_ROLE";

/// What this process is to do, if it is a child.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Runs `body` in a child process that runs only the calling test, [`this_test`].
pub(crate) fn isolated(test: &str, body: impl FnOnce()) {
    isolated_as(body, || command(test, "isolated"));
}

/// [`isolated`] with the environment naming this ring, or none.
pub(crate) fn isolated_on(ring: Option<&str>, test: &str, body: impl FnOnce()) {
    isolated_as(body, || {
        let mut command = command(test, "isolated");
        match ring {
            Some(ring) => command.env("ANNULUS_RING", ring),
            None => command.env_remove("ANNULUS_RING"),
        };
        command
    });
}

fn isolated_as(body: impl FnOnce(), command: impl FnOnce() -> Command) {
    if role().is_some() {
        return bounded(body);
    }
    let output = command().output().expect("this binary runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}", output.status);
}

/// A command that runs only the test `name` of this binary, in `role`.
pub(crate) fn command(name: &str, role: &str) -> Command {
    let this = env::current_exe().expect("the path of this binary");
    let mut command = Command::new(this);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    // What it has to say is on standard error; the rest is the test harness talking.
    command.env(ROLE, role).stdin(Stdio::null()).stdout(Stdio::null());
    heeds_signals(&mut command);
    command
}

/// Has a command's process begin with the default action for signals that this process may have
/// inherited as ignored: from `nohup`, or from a shell that has started it in the background.
pub(crate) fn heeds_signals(command: &mut Command) {
    // SAFETY: between fork and exec it calls nothing but `signal`, which may be called there.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        })
    };
}
