//! Runs a program where a container would run it: under the system calls that Docker, Kubernetes
//! or gVisor allow.
//!
//! ```sh
//! cargo build --examples
//! cargo run --example sandboxed -- docker target/debug/examples/doctor
//! cargo run --example sandboxed -- docker target/debug/examples/echo 127.0.0.1:7000
//! cargo run --example sandboxed -- gvisor cargo test --test net
//! ```
//!
//! Under all of them io_uring is refused, so a runtime takes the portable ring, and the program
//! serves as it does elsewhere. It needs no container, no root and no image: a seccomp filter is
//! put over this process, which then becomes the program. The real thing is
//!
//! ```sh
//! docker run --rm -p 7000:7000 -v "$PWD/target/release/examples:/examples:ro" \
//!     debian:stable-slim /examples/echo 0.0.0.0:7000
//! ```
//!
//! `profiles.rs` has what each profile refuses.

mod profiles;

use std::env;
use std::error::Error;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use profiles::Profile;

const USAGE: &str = "\
Runs a program under the system calls that a container's runtime allows by default.

Usage: sandboxed PROFILE PROGRAM [ARGUMENT...]

Profiles:";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (name, program) = match (arguments.next(), arguments.next()) {
        (Some(help), _) if help == "-h" || help == "--help" => {
            println!("{USAGE}");
            for Profile { name, source, .. } in profiles::ALL {
                println!("  {name:12}{source}");
            }
            return ExitCode::SUCCESS;
        }
        (Some(name), Some(program)) => (name, program),
        _ => {
            eprintln!("sandboxed: expected a profile and a program; --help lists the profiles");
            return ExitCode::from(2);
        }
    };
    let name = name.to_string_lossy();
    let Some(profile) = profiles::named(&name) else {
        eprintln!("sandboxed: no profile is called {name:?}; --help lists the profiles");
        return ExitCode::from(2);
    };
    if let Err(error) = enter(profile) {
        eprintln!("sandboxed: cannot install the filters of {}: {error}", profile.name);
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("sandboxed: cannot run {}: {error}", program.to_string_lossy());
    ExitCode::FAILURE
}

/// Puts the profile over this process, for the rest of its life.
fn enter(profile: &Profile) -> Result<(), Box<dyn Error>> {
    // One filter has one answer for all that it refuses. Of several filters a refusal wins.
    for filter in profile.filters()? {
        seccompiler::apply_filter(&filter)?;
    }
    Ok(())
}
