//! How a program ends: with the exit code of what it has returned, or with its error in one line.

use std::io::{self, Write};
use std::process::{ExitCode, Termination};

/// The exit code of a program's outcome. Prints an error in one line.
pub(crate) fn exit_code(name: &str, outcome: io::Result<impl Termination>) -> ExitCode {
    match outcome {
        Ok(value) => value.report(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
