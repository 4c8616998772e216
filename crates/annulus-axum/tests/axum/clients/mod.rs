//! The clients that were not written here.

use std::process::{Command, Output, Stdio};

use crate::common::skip::skip;

/// A script beside this file, for a Python that has `module`; otherwise a skip is reported.
#[track_caller]
pub(crate) fn python(script: &str, module: &str) -> Option<Command> {
    let has_it = Command::new("python3").args(["-c", &format!("import {module}")]).output();
    if !has_it.is_ok_and(|output| output.status.success()) {
        skip(&format!("python3 has no module {module}"));
        return None;
    }
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/axum/clients");
    let mut command = Command::new("python3");
    command.arg(format!("{directory}/{script}")).stdin(Stdio::null());
    Some(command)
}

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
