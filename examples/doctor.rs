//! What this machine's io_uring can do, what is missing, and which ring a runtime gets here.
//!
//! ```sh
//! cargo run --example doctor
//! ```
//!
//! It prints a line for each facility of io_uring that the library uses, and a verdict:
//!
//! ```text
//! facility                               since  here  without it
//! completions that are never dropped     5.5    yes   the portable ring
//! ...
//! multishot accept                       5.19   yes   an SQE for each connection
//!
//! Linux 6.18.44: Annulus runs here, on the kernel's ring, with everything it can use.
//! ```
//!
//! Where io_uring is unavailable (the kernel is too old, a container's seccomp profile forbids it,
//! an administrator has switched it off), it prints the cause and what would make it available;
//! Annulus then runs on the portable ring. It makes a runtime to find out. The exit status is 0 if
//! that works.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::process::ExitCode;

use annulus::{Builder, Probe, RingKind};

const USAGE: &str = "\
Says what this machine's io_uring can do, and on which ring Annulus runs here.

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
    // The report says what the incident of the portable ring would.
    let ring = match Builder::new().on_incident(|_| ()).build() {
        Ok(runtime) => runtime.metrics().ring,
        Err(error) => {
            eprintln!("doctor: {error}");
            return ExitCode::FAILURE;
        }
    };
    let report = match annulus::probe() {
        Ok(probe) => Report { probe: &probe, ring }.to_string(),
        Err(error) if ring == RingKind::Kernel => {
            eprintln!("doctor: a runtime is on the kernel's ring, but none can be probed: {error}");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            format!("no io_uring: {}\n\nAnnulus runs here, on the portable ring.\n", error.reason())
        }
    };
    // A reader that takes only the first lines (`doctor | head`) does not change the verdict.
    let _ = io::stdout().write_all(report.as_bytes());
    ExitCode::SUCCESS
}

/// A probe as a table, with the verdict below.
struct Report<'a> {
    probe: &'a Probe,
    /// What a runtime is on here.
    ring: RingKind,
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let facilities = self.probe.facilities();
        let width = facilities.iter().map(|facility| facility.name.len()).max().unwrap_or(0);
        let mut row = |name, since, here, without| {
            writeln!(f, "{name:width$}  {since:5}  {here:4}  {without}")
        };
        row("facility", "since", "here", "without it")?;
        for facility in facilities {
            let here = if facility.supported { "yes" } else { "NO" };
            row(
                facility.name,
                facility.since,
                here,
                facility.without.unwrap_or("the portable ring"),
            )?;
        }
        let kernel = self.probe.kernel();
        writeln!(f, "\nLinux {kernel}: Annulus runs here, {}", self.verdict())
    }
}

impl Report<'_> {
    fn verdict(&self) -> &'static str {
        match self.ring {
            RingKind::Kernel if self.probe.is_full() => {
                "on the kernel's ring, with everything it can use."
            }
            RingKind::Kernel => {
                "on the kernel's ring; the last column says what is done without the missing ones."
            }
            _ if self.probe.is_sufficient() => {
                "on the portable ring, as ANNULUS_RING says; the kernel's is available."
            }
            _ => "on the portable ring; Linux 6.1 or later has all that the kernel's needs.",
        }
    }
}
