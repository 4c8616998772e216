//! Running one test of this binary in a process of its own.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Its value says what the child is to do.
const ROLE: &str = "ANNULUS_TEST_ROLE";

/// What this process is to do, if it is a child.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// A command that runs only the test `name` of this binary, in `role`.
pub(crate) fn command(name: &str, role: &str) -> Command {
    let this = env::current_exe().expect("the path of this binary");
    let mut command = Command::new(this);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    // What it has to say is on standard error; the rest is the test harness talking.
    command.env(ROLE, role).stdin(Stdio::null()).stdout(Stdio::null());
    heeds_ctrl_c(&mut command);
    command
}

/// Has what a command starts do at ctrl-c what it does by itself, also where these tests were started with
/// ctrl-c ignored, as a shell does in the background.
pub(crate) fn heeds_ctrl_c(command: &mut Command) {
    // SAFETY: between fork and exec it calls nothing but `signal`, which may be called there.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        })
    };
}
