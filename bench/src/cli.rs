//! The command line.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::compare::{self, Cell, Settings};
use crate::contenders::other_build::{self, OtherBuild};
use crate::contenders::{self, Contender, Purpose, Scaling};
use crate::files::{Job, Kind};
use crate::hostile::Hostile;
use crate::hostile::attack::HostileAttack;
use crate::hostile::honest::HostileHonest;
use crate::hostile::server::HostileServer;
use crate::machine::Machine;
use crate::os::{affinity, limits};
#[cfg(feature = "web")]
use crate::ratios;
use crate::readme::{Figures, Part};
use crate::results::{LIMIT, RINGS, Results, Skipped, Wanted};
#[cfg(feature = "web")]
use crate::scenarios::web::{self, Http, Tls};
use crate::scenarios::{
    self, Churn, Echo, FanOut, Files, Idle, Kv, Latency, Proxy, Scale, Tasks, crossing, stream,
    tasks, timers,
};
use crate::server::SHARDS;
#[cfg(feature = "web")]
use crate::server::host::ServeWeb;
use crate::server::host::{Serve, ServeStore, Work, WorkFile};
use crate::spread::{SpreadClients, SpreadTable};
use crate::table::Width;
use crate::udp::Udp;
use crate::workloads::Workload;
use crate::{page, plot, table, verdict, versions};

/// Compares annulus with epoll, hand-written rings and its peers on this machine.
#[derive(Parser, Debug)]
#[command(name = "annulus-bench", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct With<T: Args> {
    #[command(flatten)]
    options: T,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The headline of echo and tasks, in a few minutes.
    Quick(Common),
    /// Messages sent back: throughput, latency and CPU a message.
    Echo(With<Echo>),
    /// Echo at a fixed rate; latency counts from when a message was due.
    Latency(With<Latency>),
    /// Echo through a TCP proxy.
    Proxy(With<Proxy>),
    /// One writer, whose messages reach many readers.
    #[command(name = "fanout")]
    FanOut(With<FanOut>),
    /// Connect, one message, close.
    Churn(With<Churn>),
    /// Bulk through one connection, in both directions.
    Stream(Common),
    /// Memory of an idle connection.
    Idle(With<Idle>),
    /// Echo on one core, on two, and so on.
    Scale(With<Scale>),
    /// How evenly connections are spread over shards.
    Spread(SpreadTable),
    /// Datagrams: packets a second and processor time a packet.
    Udp(Udp),
    /// Requests to a store with the protocol of Redis.
    Kv(With<Kv>),
    /// Requests of HTTP, by clients that were not written here.
    #[cfg(feature = "web")]
    Http(With<Http>),
    /// Requests of HTTP over TLS, by clients that were not written here.
    #[cfg(feature = "web")]
    Tls(With<Tls>),
    /// Reads, writes and syncs of a file.
    File(With<Files>),
    /// Spawn, join, yield and wake, without any I/O.
    Tasks(With<Tasks>),
    /// Many sleeps, start and cancel, lateness.
    Timers(Common),
    /// Echo and tasks of this build and of another one, such as that of the commit before.
    Compare(Compare),
    /// The figures of the project's README, as Markdown.
    Readme(Readme),
    /// Honest clients beside many hostile ones, at a server with little memory.
    Hostile(Hostile),
    /// Makes one page of a folder of results, with tables and plots.
    Report(Report),
    /// Lists scenarios and contenders, and what is missing.
    List,
    #[command(hide = true)]
    HostileServer(HostileServer),
    #[command(hide = true)]
    HostileAttack(HostileAttack),
    #[command(hide = true)]
    HostileHonest(HostileHonest),
    #[command(hide = true)]
    Serve(Serve),
    #[command(hide = true)]
    ServeStore(ServeStore),
    #[cfg(feature = "web")]
    #[command(hide = true)]
    ServeWeb(ServeWeb),
    #[command(hide = true)]
    SpreadClients(SpreadClients),
    #[command(hide = true)]
    Work(Work),
    #[command(hide = true)]
    WorkFile(WorkFile),
}

/// What all scenarios understand.
#[derive(Args, Debug)]
struct Common {
    /// The contenders, by name; `raw-uring` means all forms of it. All, if none is named. With a
    /// size, like `tokio@256k`, its connections have buffers of that size instead of 16 KiB.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
    /// The contender that ratios are to; `raw-uring` is the best form of it in each cell, and
    /// `limit` the best of all that are written by hand. Without it: raw-epoll, or else raw-threads
    /// or tokio.
    #[arg(long)]
    reference: Option<String>,
    /// The contender whose rounds ahead of each other are counted; annulus, if not given.
    #[arg(long)]
    against: Option<String>,
    #[command(flatten)]
    how: How,
}

/// How long, where and with which output to measure.
#[derive(Args, Clone, Debug)]
struct How {
    /// Prints the results as JSON, and no tables.
    #[arg(long)]
    json: bool,
    /// Prints all columns, and why a contender is missing.
    #[arg(long)]
    wide: bool,
    /// How often each contender is measured; 5.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,
    /// How many seconds a measurement takes; 1, and 0.3 with `quick`.
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,
    /// How many seconds the load runs before each measurement; 0.3, and 0.15 with `quick`.
    #[arg(long, value_parser = seconds)]
    warm_up: Option<f64>,
    /// The cores of the server. Only `scale` uses more than the first; with a core named twice, two
    /// threads share it. All but the load's, if not given.
    #[arg(long, value_delimiter = ',', alias = "server-core")]
    server_cores: Vec<usize>,
    /// The cores of the load, of which only echo, proxy and scale use more than the first. One that
    /// the server does not use, if not given.
    #[arg(long, value_delimiter = ',', alias = "load-core")]
    load_cores: Vec<usize>,
    /// The folder for the results.
    #[arg(long, default_value = "results")]
    results: PathBuf,
}

#[derive(Args, Debug)]
struct Compare {
    /// The other build of this program: the path of its executable.
    #[arg(long, value_name = "PROGRAM")]
    against: PathBuf,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1000])]
    connections: Vec<usize>,
    /// Sizes of messages, like 64, 1k or 256k.
    #[arg(long, value_delimiter = ',', value_parser = scenarios::bytes, default_value = "64,1k,16k")]
    sizes: Vec<usize>,
    /// Numbers of messages under way on each connection.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    depths: Vec<usize>,
    /// The form of annulus.
    #[arg(long, default_value = "annulus")]
    contender: String,
    #[command(flatten)]
    how: How,
}

impl Compare {
    /// Measures this build beside the other, and says in the end where it was slower.
    fn run(self) -> Result<(), Box<dyn Error>> {
        let Self { against, connections, sizes, depths, contender, how } = self;
        let own = contenders::by_name(&contender).ok_or_else(|| unknown(&contender))?;
        let other = OtherBuild::of(&against, own.as_ref())?;
        let mut cells = Echo { connections, sizes, depths }.cells();
        if own.lacks_work(Workload::SpawnJoin).is_none() {
            cells.extend(tasks(false));
        }
        let reference = Some(other_build::NAME.to_owned());
        let json = how.json;
        let common = Common { contenders: Vec::new(), reference, against: Some(contender), how };
        let results = Bench::of("compare", vec![own, Box::new(other)], common)?.run(&cells)?;
        if !json {
            println!(
                "
{}",
                verdict::summary(&results)
            );
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
struct Readme {
    /// Prints what was measured before, from the folder of the results.
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    how: How,
}

impl Readme {
    fn run(&self) -> Result<(), Box<dyn Error>> {
        let part = |part: Part| if self.again { self.read(part) } else { self.measure(part) };
        let figures = Figures {
            echo: part(Part::Echo)?,
            large: part(Part::Large)?,
            latency: part(Part::Latency)?,
            small_idle: part(Part::SmallIdle)?,
            large_idle: part(Part::LargeIdle)?,
        };
        println!(
            "
{}",
            figures.markdown()
        );
        Ok(())
    }

    fn read(&self, part: Part) -> Result<Results, Box<dyn Error>> {
        Ok(Results::read(&self.how.results, part.scenario())?)
    }

    fn measure(&self, part: Part) -> Result<Results, Box<dyn Error>> {
        let mut how = self.how.clone();
        how.rounds.get_or_insert(9);
        how.seconds.get_or_insert(0.5);
        let contenders = part.contenders().iter().map(|&name| name.to_owned()).collect();
        let common = Common { contenders, reference: Some(LIMIT.to_owned()), against: None, how };
        let bench = Bench::new(part.scenario(), common)?;
        bench.run(&part.cells(&bench.contenders, &bench.settings)?)
    }
}

#[derive(Args, Debug)]
struct Report {
    /// The folder of the results.
    #[arg(long, default_value = "results")]
    results: PathBuf,
    /// The page; `report.html` in that folder, if not given.
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Report {
    fn run(&self) -> Result<(), Box<dyn Error>> {
        let runs = Results::read_all(&self.results)?;
        let output = self.output.clone().unwrap_or_else(|| self.results.join("report.html"));
        fs::write(&output, page::html(&runs)?)?;
        println!("{} with {} runs", output.display(), runs.len());
        Ok(())
    }
}

/// A time that one measurement may take.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("a time is between 0.01 and 60 seconds".to_owned()),
    }
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        match self.command {
            Command::Serve(serve) => Ok(serve.run()?),
            Command::Hostile(hostile) => hostile.run(),
            Command::HostileServer(server) => Ok(server.run()?),
            Command::HostileAttack(attack) => Ok(attack.run()?),
            Command::HostileHonest(honest) => Ok(honest.run()?),
            Command::ServeStore(serve) => Ok(serve.run()?),
            #[cfg(feature = "web")]
            Command::ServeWeb(serve) => Ok(serve.run()?),
            Command::Spread(table) => Ok(table.run()?),
            Command::Udp(table) => Ok(table.run()?),
            Command::SpreadClients(clients) => Ok(clients.run()?),
            Command::Work(work) => Ok(work.run()?),
            Command::WorkFile(work) => Ok(work.run()?),
            Command::Report(report) => report.run(),
            Command::Compare(compare) => compare.run(),
            Command::Readme(readme) => readme.run(),
            Command::List => {
                list();
                Ok(())
            }
            Command::Quick(mut common) => {
                common.how.rounds.get_or_insert(5);
                common.how.seconds.get_or_insert(0.3);
                common.how.warm_up.get_or_insert(0.15);
                measured(Bench::new("quick", common)?.run(&quick()))
            }
            Command::Echo(with) => {
                measured(Bench::new("echo", with.common)?.run(&with.options.cells()))
            }
            Command::Latency(with) => {
                let bench = Bench::new("latency", with.common)?;
                measured(bench.run(&with.options.cells(&bench.contenders, &bench.settings)?))
            }
            Command::Proxy(with) => {
                let bench = Bench::new("proxy", with.common)?;
                measured(bench.run(&with.options.cells(bench.settings.load_cores[0])))
            }
            Command::FanOut(with) => {
                measured(Bench::new("fanout", with.common)?.run(&with.options.cells()))
            }
            Command::Churn(with) => {
                measured(Bench::new("churn", with.common)?.run(&with.options.cells()))
            }
            Command::Stream(common) => measured(Bench::new("stream", common)?.run(&stream())),
            Command::Idle(with) => {
                measured(Bench::new("idle", with.common)?.run(&with.options.cells()))
            }
            Command::Scale(with) => {
                let bench = Bench::new("scale", with.common)?;
                measured(bench.run(&with.options.cells(bench.settings.server_cores.len())))
            }
            Command::Kv(with) => {
                measured(Bench::new("kv", with.common)?.run(&with.options.cells()))
            }
            #[cfg(feature = "web")]
            Command::Http(with) => {
                let bench = Bench::of_web("http", with.common)?;
                bench.run_web(&with.options.cells(&bench.contenders, &bench.settings)?)
            }
            #[cfg(feature = "web")]
            Command::Tls(with) => {
                Bench::of_web("tls", with.common)?.run_web(&with.options.cells()?)
            }
            Command::File(with) => {
                let bench = Bench::new("file", with.common)?;
                let (_place, cells) = with.options.cells()?;
                measured(bench.run(&cells))
            }
            Command::Tasks(with) => {
                let Tasks { instructions, crossing: only_crossing } = with.options;
                let mut cells = crossing();
                if !only_crossing {
                    cells.splice(..0, tasks(instructions));
                }
                measured(Bench::new("tasks", with.common)?.run(&cells))
            }
            Command::Timers(common) => measured(Bench::new("timers", common)?.run(&timers())),
        }
    }
}

/// What was measured has been printed and kept.
fn measured(results: Result<Results, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    results.map(drop)
}

/// The cells of the headline.
fn quick() -> Vec<Cell> {
    let few = Echo { connections: vec![64], sizes: vec![64], depths: vec![1] };
    let many = Echo { connections: vec![1000], sizes: vec![1024], depths: vec![1] };
    few.cells().into_iter().chain(many.cells()).chain(tasks(false).into_iter().take(1)).collect()
}

fn list() {
    println!("scenarios:");
    for (name, what) in scenarios::ALL {
        println!("  {name:<22} {what}");
    }
    println!("\ncontenders:");
    for contender in contenders::all() {
        println!("  {:<21} {}", contender.name(), contender.form());
    }
    for name in contenders::left_out() {
        println!("  {name:<22} left out: built without the feature {name}");
    }
    println!("\nmissing:");
    for line in table::absent(&missing()) {
        println!("  {line}");
    }
}

/// What contenders cannot do, and why.
fn missing() -> Vec<Skipped> {
    let all = contenders::all();
    let mut missing = Vec::new();
    let mut note = |scenario: &str, contender: &dyn Contender, reason: Option<&str>| {
        missing.extend(reason.map(|reason| Skipped {
            contender: contender.name().to_owned(),
            reason: format!("{scenario}: {reason}"),
            failed: false,
        }));
    };
    for one in all.iter().map(AsRef::as_ref).filter(|one| one.purpose() == Purpose::Any) {
        for (scenario, service) in scenarios::SERVICES {
            note(scenario, one, (!one.serves(service)).then_some(scenarios::NO_SERVER));
        }
        if let Scaling::None(reason) = one.scaling() {
            note("scale", one, Some(reason));
        }
        for workload in Workload::value_variants() {
            note(workload.scenario(), one, one.lacks_work(*workload));
        }
    }
    for one in &all {
        for kind in Kind::value_variants() {
            for direct in [false, true] {
                note("file", one.as_ref(), one.lacks_files(&Job::example(*kind, direct)));
            }
        }
    }
    missing.sort_by(|one, other| {
        (&one.reason, &one.contender).cmp(&(&other.reason, &other.contender))
    });
    missing.dedup_by(|one, other| one.reason == other.reason && one.contender == other.contender);
    missing
}

/// Who is compared, where, and for how long.
struct Bench {
    scenario: &'static str,
    contenders: Vec<Box<dyn Contender>>,
    settings: Settings,
    common: Common,
}

impl Bench {
    fn new(scenario: &'static str, common: Common) -> io::Result<Self> {
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
    fn of_web(scenario: &'static str, mut common: Common) -> io::Result<Self> {
        let mut contenders = chosen(&common.contenders)?;
        contenders.retain(|one| one.purpose() == Purpose::Web);
        common.reference.get_or_insert_with(|| web::BASE.to_owned());
        common.against.get_or_insert_with(|| web::OURS.to_owned());
        Self::of(scenario, contenders, common)
    }

    /// Measures the cells, and says in the end what the first figure of each is to the base's.
    #[cfg(feature = "web")]
    fn run_web(&self, cells: &[Cell]) -> Result<(), Box<dyn Error>> {
        let results = self.run(cells)?;
        if !self.common.how.json {
            println!("\n{}", ratios::markdown(&results));
        }
        Ok(())
    }

    /// A bench of contenders that are not looked up by name.
    fn of(
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
    fn run(&self, cells: &[Cell]) -> Result<Results, Box<dyn Error>> {
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

/// The contenders of these names, in the order of the tables; those with a size in their name
/// behind the one without.
fn chosen(names: &[String]) -> io::Result<Vec<Box<dyn Contender>>> {
    let all = contenders::all();
    if names.is_empty() {
        return Ok(all);
    }
    let is_known = |name: &str| name == RINGS || contenders::by_name(name).is_some();
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        return Err(unknown(name));
    }
    let mut chosen = Vec::new();
    for one in all {
        let prefix = format!("{}@", one.name());
        let sized = names.iter().filter(|name| name.starts_with(&prefix));
        let sized: Vec<_> = sized.filter_map(|name| contenders::by_name(name)).collect();
        if names.iter().any(|name| is_meant(name, one.name())) {
            chosen.push(one);
        }
        chosen.extend(sized);
    }
    Ok(chosen)
}

/// A contender is meant by its own name; the hand-written rings are a family, and have a name
/// together.
fn is_meant(asked: &str, name: &str) -> bool {
    asked == name || (asked == RINGS && name.starts_with("raw-uring-"))
}

fn unknown(name: &str) -> io::Error {
    let plain = name.split('@').next().unwrap_or(name);
    let text = if contenders::left_out().contains(&plain) {
        format!("{plain} was left out when this program was built; it is a feature of its name")
    } else if contenders::by_name(plain).is_some() && plain != name {
        format!("{plain} has no buffer for each connection, or {name} does not end in a size")
    } else {
        format!("there is no contender called {name}; `list` names them all")
    };
    io::Error::new(io::ErrorKind::NotFound, text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_rings_are_meant_by_their_family() {
        assert!(is_meant("raw-uring", "raw-uring-4k"));
        assert!(is_meant("tokio", "tokio"));
        assert!(!is_meant("tokio", "tokio-uring"));
    }

    #[test]
    fn contenders_may_be_asked_for_with_the_size_of_their_buffers() {
        let names = |asked: &[&str]| {
            let asked: Vec<_> = asked.iter().map(|&name| name.to_owned()).collect();
            chosen(&asked).map(|chosen| chosen.iter().map(|one| one.name()).collect::<Vec<_>>())
        };
        let asked = ["raw-threads@64k", "annulus", "raw-threads"];
        assert_eq!(names(&asked).unwrap(), ["annulus", "raw-threads", "raw-threads@64k"]);
        for (wrong, why) in [
            ("annulus@64k", "annulus has no buffer for each connection"),
            ("raw-threads@much", "does not end in a size"),
            ("unknown", "there is no contender called unknown"),
        ] {
            let error = names(&[wrong]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

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
