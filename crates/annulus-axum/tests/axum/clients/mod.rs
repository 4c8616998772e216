//! The clients that were not written here.

use std::process::{Command, Output};

use crate::common::skip::skip;

/// Curl, silent but for errors and bounded in time; a skip is reported if there is none.
#[track_caller]
pub(crate) fn curl(arguments: &[&str]) -> Option<Command> {
    if Command::new("curl").arg("--version").output().is_err() {
        skip("there is no curl");
        return None;
    }
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail-with-body", "--max-time", "60"]).args(arguments);
    Some(command)
}

/// Runs a client, and returns what it printed.
#[track_caller]
pub(crate) fn printed(command: &mut Command) -> String {
    String::from_utf8(output(command).stdout).unwrap()
}

/// Runs a client that is to succeed.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}
