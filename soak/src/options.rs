//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;
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
  --limit SECONDS    how long a round may take no step [600]
  --settle SECONDS   how long what is left at the end may take no step [30]
  --break WHAT       see the run fail: a task or a descriptor is left, or a byte is changed
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
    /// How long a round may take no step. The longest takes a few seconds as a whole on a machine
    /// with nothing else to do. On one that gives this process a fiftieth of a processor it takes
    /// many minutes, and its steps seconds.
    pub(crate) limit: Duration,
    /// How long what is left once all rounds have ended may take no step.
    pub(crate) settle: Duration,
    pub(crate) breaks: Option<Break>,
    pub(crate) directory: PathBuf,
}

/// What a run does wrong on purpose, so that its verdict is seen to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    Task,
    Descriptor,
    /// A byte of an echo.
    Byte,
}

impl FromStr for Break {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "task" => Ok(Self::Task),
            "descriptor" => Ok(Self::Descriptor),
            "byte" => Ok(Self::Byte),
            _ => Err("--break takes task, descriptor or byte"),
        }
    }
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
        limit: Duration::from_secs(600),
        settle: Duration::from_secs(30),
        breaks: None,
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
            Long("limit") => options.limit = seconds(parser.value()?.parse()?)?,
            Long("settle") => options.settle = seconds(parser.value()?.parse()?)?,
            Long("break") => options.breaks = Some(parser.value()?.parse()?),
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
