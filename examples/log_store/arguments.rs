//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use super::parsed;
use super::record::MAX_RECORD;

const USAGE: &str = "\
An append-only log whose records are durable when they are acknowledged.

Usage: log_store FILE [--listen ADDRESS]
       log_store FILE --load CLIENTS [--size BYTES] [--seconds N]

  FILE              the log; created if it is not there, and recovered if it is
  --listen ADDRESS  where to listen, 127.0.0.1:7070 if not given: each line that a client
                    sends is a record, and the answer is its offset in the file
  --load CLIENTS    instead, this many tasks append records, each one after the other
  --size BYTES      the length of these records; 256, if not given
  --seconds N       for how long they do so; 5, if not given";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) path: PathBuf,
    pub(crate) task: Task,
}

#[derive(Debug)]
pub(crate) enum Task {
    Serve { address: String },
    Load { clients: usize, size: usize, duration: Duration },
}

impl Arguments {
    /// The arguments of this process; otherwise the code to exit with, after printing the usage or
    /// what is wrong.
    pub(crate) fn of_process() -> Result<Self, ExitCode> {
        parsed::arguments("log_store", USAGE, Self::parse(std::env::args_os().skip(1)))
    }

    /// `None` if help was asked for.
    fn parse(
        arguments: impl Iterator<Item = OsString> + 'static,
    ) -> Result<Option<Self>, lexopt::Error> {
        let (mut path, mut listen, mut clients) = (None, None, None);
        let (mut size, mut seconds) = (None, None);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(None),
                Long("listen") => listen = Some(parser.value()?.string()?),
                Long("load") => clients = Some(parser.value()?.parse::<usize>()?),
                Long("size") => size = Some(parser.value()?.parse::<usize>()?),
                Long("seconds") => seconds = Some(parser.value()?.parse::<u32>()?),
                Value(given) if path.is_none() => path = Some(PathBuf::from(given)),
                other => return Err(other.unexpected()),
            }
        }
        let path = path.ok_or("a FILE for the log is missing")?;
        let task = match (clients, listen) {
            (Some(_), Some(_)) => return Err("--load and --listen exclude each other".into()),
            (None, _) if size.is_some() || seconds.is_some() => {
                return Err("--size and --seconds belong to --load".into());
            }
            (None, listen) => {
                Task::Serve { address: listen.unwrap_or_else(|| "127.0.0.1:7070".to_owned()) }
            }
            (Some(clients), None) => {
                if !(1..=100_000).contains(&clients) {
                    return Err("--load is between 1 and 100000 clients".into());
                }
                let size = size.unwrap_or(256);
                if size > MAX_RECORD {
                    return Err(format!("--size is at most {MAX_RECORD}").into());
                }
                let duration = Duration::from_secs(seconds.unwrap_or(5).into());
                Task::Load { clients, size, duration }
            }
        };
        Ok(Some(Self { path, task }))
    }
}
