//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use super::limits::Limits;
use super::parsed;

const USAGE: &str = "\
An HTTP/1.1 server: files, an echo, and what the server counts.

SIGTERM ends it; SIGHUP replaces it by its newest version.

Usage: http [ADDRESS] [--root DIRECTORY] [--shards NUMBER] [limits]

  ADDRESS               where to listen, like 127.0.0.1:8080 (the default) or [::]:80; not used
                        where systemd or a process before this one gives it sockets
  --root DIRECTORY      the files to serve below /files/; the current directory, if not given
  --shards NUMBER       how many threads serve; one for each core, if not given
  --max-body BYTES      the largest body; 1048576, if not given
  --max-connections N   how many connections a shard serves at a time; 10000, if not given
  --idle-timeout MS     how long a connection may wait for its next request; 60000, if not given
  --head-timeout MS     how long a head may take; 10000, if not given
  --body-timeout MS     how long a body may take; 30000, if not given
  --send-timeout MS     how long a client may take nothing of a response; 30000, if not given
  --grace MS            how long requests may take after SIGTERM; 10000, if not given";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) address: String,
    pub(crate) root: PathBuf,
    pub(crate) shards: Option<usize>,
    pub(crate) limits: Limits,
}

impl Arguments {
    /// The arguments of this process; otherwise the code to exit with, after printing the usage or
    /// what is wrong.
    pub(crate) fn of_process() -> Result<Self, ExitCode> {
        parsed::arguments("http", USAGE, Self::parse(std::env::args_os().skip(1)))
    }

    /// `None` if help was asked for.
    fn parse(
        arguments: impl Iterator<Item = OsString> + 'static,
    ) -> Result<Option<Self>, lexopt::Error> {
        let mut address = None;
        let mut given = Self {
            address: "127.0.0.1:8080".into(),
            root: ".".into(),
            shards: None,
            limits: Limits::default(),
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            let limits = &mut given.limits;
            match argument {
                Long("help") | Short('h') => return Ok(None),
                Long("root") => given.root = parser.value()?.into(),
                Long("shards") => given.shards = Some(at_least_one(&parser.value()?)?),
                Long("max-body") => limits.body = parser.value()?.parse()?,
                Long("max-connections") => limits.connections = at_least_one(&parser.value()?)?,
                Long("idle-timeout") => limits.idle = millis(&parser.value()?)?,
                Long("head-timeout") => limits.head = millis(&parser.value()?)?,
                Long("body-timeout") => limits.body_time = millis(&parser.value()?)?,
                Long("send-timeout") => limits.send = millis(&parser.value()?)?,
                Long("grace") => limits.grace = millis(&parser.value()?)?,
                Value(value) if address.is_none() => {
                    let text = value.string()?;
                    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
                    if !matches!(port, Some(Ok(_))) {
                        let like = "an address with a port, like 127.0.0.1:8080";
                        return Err(format!("{text:?} is not {like}").into());
                    }
                    address = Some(text);
                }
                other => return Err(other.unexpected()),
            }
        }
        given.address = address.unwrap_or(given.address);
        Ok(Some(given))
    }
}

fn at_least_one(value: &OsStr) -> Result<usize, lexopt::Error> {
    match value.to_owned().parse()? {
        0 => Err("0 is too few: give a number from 1 on".into()),
        number => Ok(number),
    }
}

fn millis(value: &OsStr) -> Result<Duration, lexopt::Error> {
    at_least_one(value).map(|millis| Duration::from_millis(millis as u64))
}
