//! gRPC: a server and a client of the standard health service, by tonic.
//!
//! ```sh
//! cargo run -p annulus-axum --features http2 --example grpc -- serve    # on 127.0.0.1:50051
//! cargo run -p annulus-axum --features http2 --example grpc -- check 127.0.0.1:50051
//! cargo run -p annulus-axum --features http2 --example grpc -- watch 127.0.0.1:50051 clock
//! ```
//!
//! `check` asks for the state of a service once, the whole server's if it names none; `watch`
//! prints each change of it. The server has a service `clock` that is serving every other second.
//!
//! A tonic server is an axum router, so `annulus_axum::serve` serves it, and other routes beside. A
//! tonic client takes a connector, and an executor for the task that drives its connection; both
//! are those of `annulus-hyper`. Neither needs a Tokio runtime, with one exception on each side:
//! timeouts that tonic itself measures. `server.rs` enforces the deadlines of clients, and
//! `client.rs` its own, by `annulus::time::timeout`.

mod client;
mod connector;
mod server;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str = "\
A gRPC server and client of the standard health service.

Usage: grpc serve [ADDRESS]
       grpc check ADDRESS [SERVICE]
       grpc watch ADDRESS [SERVICE]

ADDRESS is where to listen, like 127.0.0.1:50051 (the default), or the server's.";

fn main() -> ExitCode {
    let text = |argument: OsString| argument.into_string().unwrap_or_default();
    let given: Vec<_> = env::args_os().skip(1).map(text).collect();
    let given: Vec<_> = given.iter().map(String::as_str).collect();
    let outcome = match given[..] {
        ["-h" | "--help"] => {
            let _ = writeln!(io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        ["serve"] => annulus::run(server::serve("127.0.0.1:50051")),
        ["serve", address] => annulus::run(server::serve(address)),
        ["check", address] => annulus::run(client::check(address, "")),
        ["check", address, service] => annulus::run(client::check(address, service)),
        ["watch", address] => annulus::run(client::watch(address, "")),
        ["watch", address, service] => annulus::run(client::watch(address, service)),
        _ => {
            let fault = "expected `serve`, `check ADDRESS` or `watch ADDRESS`";
            let _ = writeln!(io::stderr(), "grpc: {fault}; --help says more");
            return ExitCode::from(2);
        }
    };
    // The outer error is that of making the runtime.
    match outcome.unwrap_or_else(|error| Err(error.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "grpc: {error}");
            ExitCode::FAILURE
        }
    }
}
