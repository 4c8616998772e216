//! A run: who is compared, where, for how long, and what becomes of the results.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use clap::Args;

use crate::chosen::{chosen, unknown};
use crate::compare::{self, Cell, Settings};
use crate::contenders::{self, Contender, Purpose};
use crate::machine::Machine;
use crate::os::{affinity, limits};
#[cfg(feature = "web")]
use crate::ratios;
use crate::results::{LIMIT, RINGS, Results, Wanted};
#[cfg(feature = "web")]
use crate::scenarios::web;
use crate::server::SHARDS;
use crate::table::Width;
use crate::{plot, table, versions};

/// What all scenarios understand.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// The contenders, by name; `raw-uring` means all forms of it. All, if none is named. With a
    /// size, like `tokio@256k`, its connections have buffers of that size instead of 16 KiB.
    #[arg(long, value_delimiter = ',')]
    pub(crate) contenders: Vec<String>,
    /// The contender that ratios are to; `raw-uring` is the best form of it in each cell, and
    /// `limit` the best of all that are written by hand. Without it: raw-epoll, or else raw-threads
    /// or tokio.
    #[arg(long)]
    pub(crate) reference: Option<String>,
    /// The contender whose rounds ahead of each other are counted; annulus, if not given.
    #[arg(long)]
    pub(crate) against: Option<String>,
    #[command(flatten)]
    pub(crate) how: How,
}

/// How long, where and with which output to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct How {
    /// Prints the results as JSON, and no tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints all columns, and why a contender is missing.
    #[arg(long)]
    pub(crate) wide: bool,
    /// How often each contender is measured; 5.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rounds: Option<u16>,
    /// How many seconds a measurement takes; 1, and 0.3 with `quick`.
    #[arg(long, value_parser = seconds)]
    pub(crate) seconds: Option<f64>,
    /// How many seconds the load runs before each measurement; 0.3, and 0.15 with `quick`.
    #[arg(long, value_parser = seconds)]
    pub(crate) warm_up: Option<f64>,
    /// The cores of the server. Only `scale` uses more than the first; with a core named twice, two
    /// threads share it. All but the load's, if not given.
    #[arg(long, value_delimiter = ',', alias = "server-core")]
    pub(crate) server_cores: Vec<usize>,
    /// The cores of the load, of which only echo, proxy and scale use more than the first. One that
    /// the server does not use, if not given.
    #[arg(long, value_delimiter = ',', alias = "load-core")]
    pub(crate) load_cores: Vec<usize>,
    /// The folder for the results.
    #[arg(long, default_value = "results")]
    pub(crate) results: PathBuf,
}

/// A time that one measurement may take.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("a time is between 0.01 and 60 seconds".to_owned()),
    }
}

/// Who is compared, where, and for how long.
pub(crate) struct Bench {
    scenario: &'static str,
    pub(crate) contenders: Vec<Box<dyn Contender>>,
    pub(crate) settings: Settings,
    common: Common,
}

impl Bench {
    pub(crate) fn new(scenario: &'static str, common: Common) -> io::Result<Self> {
        let mut contenders = chosen(&common.contenders)?;
        contenders.retain(|one| match one.purpose() {
            Purpose::Any => true,
            Purpose::Files => scenario == "file",
            Purpose::Store => scenario == "kv",
            #[cfg(feature = "web")]
            Purpose::Web => false,
        });
        let reference = common.reference.iter().filter(|name| ![LIMIT, RINGS].contains(&&***name));
        let mut named = reference.chain(&common.against);
        if let Some(name) = named.find(|name| contenders::by_name(name).is_none()) {
            return Err(unknown(name));
        }
        Self::of(scenario, contenders, common)
    }

    /// A bench of servers of HTTP alone.
    #[cfg(feature = "web")]
    pub(crate) fn of_web(scenario: &'static str, mut common: Common) -> io::Result<Self> {
        let mut contenders = chosen(&common.contenders)?;
        contenders.retain(|one| one.purpose() == Purpose::Web);
        common.reference.get_or_insert_with(|| web::BASE.to_owned());
        common.against.get_or_insert_with(|| web::OURS.to_owned());
        Self::of(scenario, contenders, common)
    }

    /// Measures the cells, and says in the end what the first figure of each is to the base's.
    #[cfg(feature = "web")]
    pub(crate) fn run_web(&self, cells: &[Cell]) -> Result<(), Box<dyn Error>> {
        let results = self.run(cells)?;
        if !self.common.how.json {
            println!("\n{}", ratios::markdown(&results));
        }
        Ok(())
    }

    /// A bench of contenders that are not looked up by name.
    pub(crate) fn of(
        scenario: &'static str,
        contenders: Vec<Box<dyn Contender>>,
        common: Common,
    ) -> io::Result<Self> {
        let how = &common.how;
        limits::raise_descriptors()?;
        let (server_cores, load_cores) =
            share_out(&affinity::allowed()?, &how.server_cores, &how.load_cores)?;
        if let Some(core) = load_cores.iter().find(|core| server_cores.contains(core)) {
            eprintln!("server and load share core {core}: throughput says little here");
        }
        let settings = Settings {
            server_cores,
            load_cores,
            warm_up: Duration::from_secs_f64(how.warm_up.unwrap_or(0.3)),
            window: Duration::from_secs_f64(how.seconds.unwrap_or(1.0)),
            rounds: usize::from(how.rounds.unwrap_or(5)),
        };
        Ok(Self { scenario, contenders, settings, common })
    }

    /// Measures the cells, prints each as soon as it is done, and keeps all.
    pub(crate) fn run(&self, cells: &[Cell]) -> Result<Results, Box<dyn Error>> {
        // The machine is looked at before this process keeps to one core.
        let machine = Machine::this();
        let _pinned = affinity::Pinned::to(&self.settings.load_cores[..1])?;
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let mut results = Results {
            scenario: self.scenario.to_owned(),
            command: arguments.join(" "),
            machine,
            server_cores: self.settings.server_cores.clone(),
            load_cores: self.settings.load_cores.clone(),
            rounds: self.settings.rounds,
            window: self.settings.window.as_secs_f64(),
            versions: versions::of(self.contenders.iter().map(|one| one.name())),
            cells: Vec::new(),
        };
        let Common { reference, against, how, .. } = &self.common;
        let How { json, wide, .. } = how;
        let width = if *wide { Width::Wide } else { Width::Narrow };
        let wanted = Wanted { reference: reference.clone(), against: against.clone() };
        let print = |text: String| {
            if !json {
                println!("{text}");
            }
        };
        print(table::head(&results));
        for cell in cells {
            let done = compare::run(cell, &self.contenders, &self.settings, &wanted);
            print(table::cell(&done, width));
            results.cells.push(done);
        }
        let path = results.write(&how.results)?;
        let drawing = path.with_extension("svg");
        fs::write(&drawing, plot::svg(&results)?)?;
        print(format!("\nkept in {} and {}", path.display(), drawing.display()));
        if *json {
            println!("{}", serde_json::to_string(&results)?);
        }
        Ok(results)
    }
}

/// The cores of the server and of the load, of those that may be used. Where nothing else was asked
/// for, the load has one, which is the second, and the server all others.
fn share_out(
    allowed: &[usize],
    server: &[usize],
    load: &[usize],
) -> io::Result<(Vec<usize>, Vec<usize>)> {
    let last = *allowed.last().ok_or_else(|| io::Error::other("there is no core"))?;
    let load = if load.is_empty() {
        let mut others = allowed.iter().filter(|core| !server.contains(core));
        let first = if server.is_empty() { others.nth(1) } else { others.next() };
        vec![*first.unwrap_or(&last)]
    } else {
        load.to_vec()
    };
    let server = if server.is_empty() {
        let others: Vec<_> = allowed.iter().copied().filter(|core| !load.contains(core)).collect();
        if others.is_empty() { vec![last] } else { others }
    } else {
        server.to_vec()
    };
    if server.len() > SHARDS {
        let text = format!("a server can have {SHARDS} cores at most");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok((server, load))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_out() {
        let shared =
            |server: &[usize], load: &[usize]| share_out(&[0, 1, 2, 3], server, load).unwrap();
        assert_eq!(shared(&[], &[]), (vec![0, 2, 3], vec![1]));
        assert_eq!(shared(&[1], &[]), (vec![1], vec![0]));
        assert_eq!(shared(&[], &[2, 3]), (vec![0, 1], vec![2, 3]));
        assert_eq!(shared(&[0, 0], &[1]), (vec![0, 0], vec![1]));
        assert_eq!(share_out(&[5], &[], &[]).unwrap(), (vec![5], vec![5]));
        assert!(share_out(&[0], &[0; SHARDS + 1], &[]).is_err());
    }

    #[test]
    fn times_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for text in ["0", "-1", "61", "NaN", "x"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
