//! What this machine's io_uring can do, and what is missing.
//!
//! ```sh
//! cargo run --example doctor
//! ```
//!
//! It prints a line for each facility that the library uses, and a verdict:
//!
//! ```text
//! facility                               since  here  without it
//! completions that are never dropped     5.5    yes   no runtime
//! ...
//! multishot accept                       5.19   yes   an SQE for each connection
//!
//! Linux 6.18.44: Annulus runs here, with everything it can use.
//! ```
//!
//! Where there is no io_uring at all (the kernel is too old, a container's seccomp profile forbids
//! it, an administrator has switched it off), it prints one line with the cause and the remedy.
//! The exit status is 0 if Annulus runs here.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::process::ExitCode;

use annulus::Probe;

const USAGE: &str = "\
Says what this machine's io_uring can do, and whether Annulus runs here.

Usage: doctor";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => {}
        [help] if help == "-h" || help == "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("doctor: expected no arguments; --help says more");
            return ExitCode::from(2);
        }
    }
    match annulus::probe() {
        Ok(probe) => {
            // A reader that takes only the first lines (`doctor | head`) does not change the
            // verdict.
            let _ = io::stdout().write_all(Report(&probe).to_string().as_bytes());
            if probe.is_sufficient() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("doctor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A probe as a table, with the verdict below.
struct Report<'a>(&'a Probe);

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let facilities = self.0.facilities();
        let width = facilities.iter().map(|facility| facility.name.len()).max().unwrap_or(0);
        let mut row = |name, since, here, without| {
            writeln!(f, "{name:width$}  {since:5}  {here:4}  {without}")
        };
        row("facility", "since", "here", "without it")?;
        for facility in facilities {
            let here = if facility.supported { "yes" } else { "NO" };
            row(facility.name, facility.since, here, facility.without.unwrap_or("no runtime"))?;
        }
        let kernel = self.0.kernel();
        writeln!(f, "\nLinux {kernel}: {}", verdict(self.0))
    }
}

fn verdict(probe: &Probe) -> &'static str {
    if probe.is_full() {
        "Annulus runs here, with everything it can use."
    } else if probe.is_sufficient() {
        "Annulus runs here; the last column says what is done without the missing ones."
    } else {
        "Annulus does not run here; use Linux 6.1 or later."
    }
}
