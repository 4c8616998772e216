//! Files and the standard input, one after the other, to the standard output.
//!
//! ```sh
//! cargo run --example cat -- Cargo.toml -
//! ```
//!
//! Each of the streams may be a terminal, a pipe, a file, a socket or a device. The next bytes of a
//! file are read while the last are written.

#[path = "shared/parsed.rs"]
mod parsed;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use annulus::buf::BufResult;
use annulus::fs::File;
use annulus::io::{Stdout, stdin, stdout};
use annulus::join::gather;
use lexopt::prelude::{Long, Short, Value};

const USAGE: &str = "\
Writes files to the standard output, one after the other.

Usage: cat [FILE]...

  FILE  a path, or - for the standard input (the default)";

const BUFFER: usize = 128 * 1024;

fn parse(
    arguments: impl Iterator<Item = OsString> + 'static,
) -> Result<Option<Vec<OsString>>, lexopt::Error> {
    let mut files = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Value(file) => files.push(file),
            other => return Err(other.unexpected()),
        }
    }
    if files.is_empty() {
        files.push("-".into());
    }
    Ok(Some(files))
}

/// What went wrong, and on which side.
enum Failure {
    Input(io::Error),
    Output(io::Error),
}

/// Writes one file, or the standard input.
async fn print(file: &OsStr, output: &mut Stdout) -> Result<(), Failure> {
    if file != "-" {
        let file = File::open(Path::new(file)).await.map_err(Failure::Input)?;
        return print_file(&file, output).await;
    }
    let mut input = stdin();
    loop {
        let lease = input.recv().await.map_err(Failure::Input)?;
        if lease.is_empty() {
            return Ok(());
        }
        output.write_all(lease).await.0.map_err(Failure::Output)?;
    }
}

/// Writes what has been read while it reads what comes next.
async fn print_file(file: &File, output: &mut Stdout) -> Result<(), Failure> {
    let mut offset = 0;
    let mut written = Vec::with_capacity(BUFFER);
    let BufResult(mut count, mut read) = file.read_at(Vec::with_capacity(BUFFER), 0).await;
    while count.map_err(Failure::Input)? > 0 {
        offset += read.len() as u64;
        written.clear();
        let next = file.read_at(written, offset);
        let (BufResult(wrote, buffer), next) = gather((output.write_all(read), next)).await;
        wrote.map_err(Failure::Output)?;
        written = buffer;
        BufResult(count, read) = next;
    }
    Ok(())
}

#[annulus::main]
async fn main() -> ExitCode {
    let files = match parsed::arguments("cat", USAGE, parse(std::env::args_os().skip(1))) {
        Ok(files) => files,
        Err(code) => return code,
    };
    let mut code = ExitCode::SUCCESS;
    let mut output = stdout();
    for file in files {
        let error = match print(&file, &mut output).await {
            Ok(()) => continue,
            // The reader has seen enough, as `head` has.
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return code;
            }
            Err(Failure::Output(error)) => {
                let _ = writeln!(io::stderr(), "cat: standard output: {error}");
                return ExitCode::FAILURE;
            }
            Err(Failure::Input(error)) => error,
        };
        let _ = writeln!(io::stderr(), "cat: {}: {error}", Path::new(&file).display());
        code = ExitCode::FAILURE;
    }
    code
}
