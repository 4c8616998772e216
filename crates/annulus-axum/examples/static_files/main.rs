//! A server of static files over HTTP, on all cores.
//!
//! ```sh
//! cargo run -p annulus-axum --example static_files -- target/doc
//! curl http://127.0.0.1:8080/annulus/index.html
//! curl --range 0-99 http://127.0.0.1:8080/annulus/index.html
//! ```
//!
//! `site/files.rs` says which files are served: those below the directory, by a descriptor of it
//! that no path leaves, also while links and directories are replaced. `site/conditions.rs` decides
//! what a request asks for of a file, and `site/response.rs` answers. Files are opened and read on
//! the ring, in chunks, each when the one before is on its way: a connection never holds more than
//! one. `https_static` is the same site over TLS.
//!
//! Each shard accepts on the same port. SIGTERM or ctrl-c stops listening, and what is being sent
//! has ten seconds to end.

#[path = "../shared/outcome.rs"]
mod outcome;
#[path = "../shared/parsed.rs"]
mod parsed;
mod site;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use annulus::net::{ListenOptions, ShutdownReport, TcpListener};
use annulus::{Shards, Shutdown};
use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::site::Directory;

const USAGE: &str = "\
A server of static files over HTTP, on all cores.

Usage: static_files DIRECTORY [ADDRESS]

  DIRECTORY   what to serve
  ADDRESS     where to listen (127.0.0.1:8080)";

struct Arguments {
    directory: PathBuf,
    address: String,
}

fn main() -> ExitCode {
    let parsed = parse(std::env::args_os().skip(1));
    let arguments = match parsed::arguments("static_files", USAGE, parsed) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    outcome::exit_code("static_files", run(&arguments))
}

/// `None` if help was asked for.
fn parse(
    arguments: impl Iterator<Item = OsString> + 'static,
) -> Result<Option<Arguments>, lexopt::Error> {
    let (mut directory, mut address) = (None, None);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Value(value) if directory.is_none() => directory = Some(value.into()),
            Value(value) if address.is_none() => address = Some(value.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let directory = directory.ok_or("expected the DIRECTORY to serve")?;
    let address = address.unwrap_or_else(|| "127.0.0.1:8080".into());
    Ok(Some(Arguments { directory, address }))
}

fn run(arguments: &Arguments) -> io::Result<ShutdownReport> {
    // Before the shards, so that what is wrong with it is said once.
    let directory = Directory::open(&arguments.directory)?;
    let shards = Shards::builder().shutdown(Shutdown::on_signals()?);
    let reports = shards.run(async |shard| {
        let nodelay = ListenOptions::new().nodelay(true);
        let listener = TcpListener::bind_with(&arguments.address, &nodelay).await?;
        site::serve_shard(&shard, listener.local_addr()?, listener, directory.clone()).await
    })?;
    site::report(reports)
}
