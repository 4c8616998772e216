//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::ValueExt;

use crate::workloads::WORKLOADS;

/// How it is used.
pub(crate) const USAGE: &str = "\
Usage: annulus-soak [MINUTES] [OPTIONS]

Does everything at the same time, for 30 minutes by default, checks each byte, and decides at the end
whether memory stayed flat and everything was returned. ANNULUS_RING chooses the ring.

  --seed NUMBER      decides what each round does; random by default, and printed
  --only NAME,...    only these workloads
  --round NUMBER     only one round, that of this seed, of the workload that --only names
  --shards COUNT     threads, each with a runtime and all workloads [2]
  --every SECONDS    between two lines [10]
  --directory PATH   where files are made [the system's directory for temporary files]
  --list             prints the names of the workloads
  --help             prints this";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    /// Places in the list of workloads.
    pub(crate) only: Vec<usize>,
    pub(crate) round: Option<u64>,
    pub(crate) shards: usize,
    pub(crate) every: Duration,
    pub(crate) directory: PathBuf,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Run(Options),
    Print(String),
}

pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Request, lexopt::Error> {
    use lexopt::Arg::{Long, Value};

    let mut options = Options {
        length: Duration::from_secs(30 * 60),
        seed: fastrand::u64(..),
        only: (0..WORKLOADS.len()).collect(),
        round: None,
        shards: 2,
        every: Duration::from_secs(10),
        directory: std::env::temp_dir(),
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(minutes) => {
                let count = minutes.parse::<f64>().map_err(|_| no_minutes(&minutes))?;
                options.length = seconds(count * 60.0)?;
            }
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("only") => options.only = named(&parser.value()?.string()?)?,
            Long("round") => options.round = Some(parser.value()?.parse()?),
            Long("shards") => options.shards = parser.value()?.parse::<usize>()?.max(1),
            Long("every") => options.every = seconds(parser.value()?.parse()?)?,
            Long("directory") => options.directory = parser.value()?.into(),
            Long("list") => {
                let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
                return Ok(Request::Print(names.join("\n")));
            }
            Long("help") => return Ok(Request::Print(USAGE.to_owned())),
            argument => return Err(argument.unexpected()),
        }
    }
    if options.round.is_some() && options.only.len() != 1 {
        return Err("--round needs --only with the name of one workload".into());
    }
    Ok(Request::Run(options))
}

fn seconds(count: f64) -> Result<Duration, lexopt::Error> {
    Duration::try_from_secs_f64(count).map_err(|error| error.to_string().into())
}

fn no_minutes(text: &OsStr) -> lexopt::Error {
    format!("{} is no number of minutes", text.to_string_lossy()).into()
}

fn named(names: &str) -> Result<Vec<usize>, lexopt::Error> {
    names
        .split(',')
        .map(|name| {
            WORKLOADS
                .iter()
                .position(|workload| workload.name == name)
                .ok_or_else(|| format!("no workload is called {name:?}; see --list").into())
        })
        .collect()
}
