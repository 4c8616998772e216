//! What a program does with the outcome of parsing its arguments: it goes on, or prints its usage
//! or what is wrong in one line.

use std::io::{self, Write};
use std::process::ExitCode;

/// The arguments; otherwise the code to exit with, after printing `usage`, if help was asked for
/// (`None`), or what is wrong.
pub(crate) fn arguments<T>(
    name: &str,
    usage: &str,
    parsed: Result<Option<T>, lexopt::Error>,
) -> Result<T, ExitCode> {
    match parsed {
        Ok(Some(arguments)) => Ok(arguments),
        Ok(None) => {
            let _ = writeln!(io::stdout(), "{usage}");
            Err(ExitCode::SUCCESS)
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{name}: {error}; --help says more");
            Err(ExitCode::from(2))
        }
    }
}
