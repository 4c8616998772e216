//! Does everything that annulus can do, at the same time and for long.
//!
//! Each shard runs all workloads ([`workloads`]), several of each. A workload is a round that is
//! repeated: it opens something, uses it in random ways, checks each byte, drops futures at random
//! moments ([`cancel`]), and closes what it has opened. A failing round prints its seed, which
//! repeats what the round asks for ([`options::USAGE`]), but not how it races with the kernel.
//!
//! At the end no further round begins, those that run end, the services are closed, and the process
//! must hold what it held at first ([`verdict`]). The exit code is 0 if nothing failed.

mod bytes;
mod cancel;
mod chance;
mod failure;
mod options;
mod places;
mod rounds;
mod run;
mod sample;
mod services;
mod site;
mod stream;
mod tally;
mod verdict;
mod workloads;

use std::env;
use std::process::ExitCode;

use options::Request;

fn main() -> ExitCode {
    let options = match options::parse(env::args_os().skip(1)) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Print(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("annulus-soak: {error}; --help lists what may be said");
            return ExitCode::from(2);
        }
    };
    match run::run(&options) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("annulus-soak: {error}");
            ExitCode::from(2)
        }
    }
}
