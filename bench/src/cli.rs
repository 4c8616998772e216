//! The command line.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::chosen::unknown;
use crate::compare::Cell;
use crate::contenders;
use crate::contenders::other_build::{self, OtherBuild};
use crate::hostile::Hostile;
use crate::hostile::attack::HostileAttack;
use crate::hostile::honest::HostileHonest;
use crate::hostile::server::HostileServer;
use crate::listing::list;
use crate::readme::{Figures, Part};
use crate::results::{LIMIT, Results};
use crate::run::{Bench, Common, How};
#[cfg(feature = "web")]
use crate::scenarios::web::{Http, Tls};
use crate::scenarios::{
    self, Churn, Echo, FanOut, Files, Idle, Kv, Latency, Proxy, Scale, Tasks, crossing, stream,
    tasks, timers,
};
#[cfg(feature = "web")]
use crate::server::host::ServeWeb;
use crate::server::host::{Serve, ServeStore, Work, WorkFile};
use crate::spread::{SpreadClients, SpreadTable};
use crate::udp::Udp;
use crate::workloads::Workload;
use crate::{page, verdict};

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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
