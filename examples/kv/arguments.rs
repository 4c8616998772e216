//! The command line.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use lexopt::prelude::{Long, Short, ValueExt};

use super::parsed;

const USAGE: &str = "\
A store of keys and values in memory, with the protocol of Redis.

Usage: kv [--port PORT] [--bind ADDRESS] [--shards N] [--max-request BYTES]

  --port PORT          where to listen; 6379, if not given, and 0 for any free port
  --bind ADDRESS       the address to listen on, like 127.0.0.1 (the default) or ::
  --shards N           threads, each with a part of the keys; one for each CPU, if not given
  --max-request BYTES  the largest request, and so the largest value; 67108864, if not given";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) port: u16,
    pub(crate) bind: IpAddr,
    /// One for each usable CPU, if not given.
    pub(crate) shards: Option<NonZeroUsize>,
    pub(crate) max_request: usize,
}

impl Arguments {
    /// The arguments of this process; otherwise the code to exit with, after printing the usage or
    /// what is wrong.
    pub(crate) fn of_process() -> Result<Self, ExitCode> {
        parsed::arguments("kv", USAGE, Self::parse(std::env::args_os().skip(1)))
    }

    /// `None` if help was asked for.
    fn parse(
        arguments: impl Iterator<Item = OsString> + 'static,
    ) -> Result<Option<Self>, lexopt::Error> {
        let mut given = Self {
            port: 6379,
            bind: IpAddr::from([127, 0, 0, 1]),
            shards: None,
            max_request: 64 * 1024 * 1024,
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(None),
                Long("port") | Short('p') => given.port = parser.value()?.parse()?,
                Long("bind") => given.bind = parser.value()?.parse()?,
                Long("shards") => given.shards = Some(parser.value()?.parse()?),
                Long("max-request") => {
                    given.max_request = parser.value()?.parse()?;
                    if !(1024..=1024 * 1024 * 1024).contains(&given.max_request) {
                        return Err("--max-request is between 1024 and 1073741824".into());
                    }
                }
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(given))
    }
}
