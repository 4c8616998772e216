//! Compares annulus with hand-written epoll and io_uring servers and with its peers, on this
//! machine, in interleaved rounds. `README.md` says how to read what it prints.

mod chosen;
mod cli;
mod compare;
mod contenders;
mod files;
mod hostile;
mod kv;
mod listing;
mod load;
mod machine;
mod os;
mod page;
mod plot;
#[cfg(feature = "web")]
mod ratios;
mod readme;
mod results;
mod run;
mod scenarios;
mod server;
mod spread;
mod summary;
mod table;
mod udp;
mod verdict;
mod versions;
#[cfg(feature = "web")]
mod web;
mod workloads;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("annulus-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
