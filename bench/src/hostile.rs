//! `hostile`: whether a server with little memory serves honest clients while many others attack
//! it, and what that costs them.
//!
//! The server, the honest clients and each kind of hostile client are processes of their own. In
//! each round the honest clients are measured twice, alone and beside the attack, so that what else
//! the machine does meets both; and at the end alone once more. Every wait has a limit.

pub(crate) mod attack;
mod child;
mod group;
pub(crate) mod honest;
mod report;
pub(crate) mod server;

use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use self::attack::{Kind, Tally};
use self::child::{Place, Process};
use self::group::{Group, Held};
use self::honest::Met;
use self::report::Outcome;
use self::server::Report;
use crate::os::{affinity, limits};

/// How long a child may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many descriptors the server has for other things than connections.
const SPARE: u64 = 200;

/// Honest clients beside many hostile ones, at a server with little memory.
#[derive(Args, Debug)]
pub(crate) struct Hostile {
    /// How many hostile connections there are at the same time.
    #[arg(long, default_value_t = 20_000)]
    connections: usize,
    /// How many honest connections there are.
    #[arg(long, default_value_t = 100)]
    honest: usize,
    /// The memory that the server may have, in MiB.
    #[arg(long, default_value_t = 128)]
    memory: u64,
    /// How often the honest clients are measured alone and beside the attack.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many seconds each measurement of the honest clients takes.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// How many connections the flood makes in a second, and how many are reset.
    #[arg(long, default_value_t = 500.0)]
    flood_rate: f64,
    /// How many seconds the attack may take to be complete, and to be over.
    #[arg(long, default_value_t = 30.0)]
    settle: f64,
    /// Only these kinds of hostile clients, each with its usual number.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// The server has no limits on time, rates and buffers, to see what they are good for.
    #[arg(long)]
    no_timeouts: bool,
    /// The core of the server; the clients have all others. The first, if not given.
    #[arg(long)]
    server_core: Option<usize>,
    /// Fails if the 99th percentile of established honest connections, in the median of the
    /// rounds, is more than three times that of the quiet server.
    #[arg(long)]
    strict: bool,
}

/// The server, and where all run.
struct Stage {
    server: Process,
    address: String,
    group: Option<Group>,
    server_place: Place,
    honest_place: Place,
    attack_place: Place,
}

/// What was found while the honest clients asked.
struct Phase {
    met: Met,
    seconds: f64,
    /// The share of its core that the server had, and for which it waited.
    cpu: f64,
    waited: f64,
    /// At the end, what the server counted and held.
    report: Report,
    resident: u64,
    held: Option<Held>,
    /// What the server counted meanwhile.
    counted: Report,
    attackers: Vec<(Kind, Tally)>,
    /// The share of their core that the attackers had.
    attack_cpu: f64,
}

struct Round {
    quiet: Phase,
    attacked: Phase,
}

impl Hostile {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let group = Group::new(self.memory << 20);
        let form = match &group {
            Ok(group) => group.form().to_owned(),
            Err(error) => format!("RLIMIT_DATA, as a cgroup cannot be made ({error})"),
        };
        let mut stage = self.start(group.ok())?;
        let mut rounds = Vec::new();
        for round in 1..=self.rounds {
            self.say(round, "alone");
            let quiet = self.measure(&mut stage, &mut [])?;
            self.say(round, "the attack begins");
            let mut attackers = self.attack(&stage)?;
            self.await_attack(&mut stage, &mut attackers)?;
            self.say(round, "attacked");
            let attacked = self.measure(&mut stage, &mut attackers)?;
            drop(attackers);
            self.await_quiet(&mut stage)?;
            rounds.push(Round { quiet, attacked });
        }
        self.say(self.rounds, "alone again");
        let last = self.measure(&mut stage, &mut [])?;
        let held = stage.group.as_ref().map(Group::held).transpose()?;
        let (_, peak) = stage.server.resident()?;
        let outcome = Outcome { form, rounds, last, peak, held, limit: self.memory << 20 };
        outcome.print(&self, &stage);
        outcome.check(&self)
    }

    fn say(&self, round: usize, what: &str) {
        eprintln!("round {round} of {}: {what}", self.rounds);
    }

    /// How many connections the attack has of each kind.
    fn shares(&self) -> Vec<(Kind, usize)> {
        let chosen = |kind: &Kind| self.kinds.is_empty() || self.kinds.contains(kind);
        let kinds = Kind::value_variants().iter().copied().filter(chosen);
        kinds.map(|kind| (kind, (self.connections * kind.percent() / 100).max(1))).collect()
    }

    /// How many hostile connections the server is to serve at the same time.
    fn expected(&self) -> u64 {
        let serves = |(kind, count): (Kind, usize)| match kind {
            Kind::Flood => count.min(attack::PER_SOURCE),
            _ => count,
        };
        self.shares().into_iter().map(serves).sum::<usize>() as u64
    }

    fn start(&self, group: Option<Group>) -> Result<Stage, Box<dyn Error>> {
        let cores = affinity::allowed()?;
        let server_core = self.server_core.unwrap_or(cores[0]);
        let mut others: Vec<_> = cores.into_iter().filter(|&core| core != server_core).collect();
        if others.is_empty() {
            others.push(server_core);
        }
        let server_place = Place { cores: vec![server_core], urgent: true };
        let honest_place = Place { cores: others.clone(), urgent: true };
        let attack_place = Place { cores: others, urgent: false };

        let needed = self.expected() + 2 * self.honest as u64 + SPARE;
        let descriptors = limits::raise_descriptors_to(needed)?;
        if descriptors < needed {
            let text = format!("{needed} descriptors are needed, and {descriptors} are allowed");
            return Err(text.into());
        }
        let mut command = server_place.command("hostile-server")?;
        command.args(["--descriptors", &descriptors.to_string()]);
        command.args(["--max-connections", &(needed - SPARE / 2).to_string()]);
        command.args(["--max-connections-per-peer", &attack::PER_SOURCE.to_string()]);
        match &group {
            Some(group) => command.arg("--group").arg(group.path()),
            None => command.args(["--data-limit", &(self.memory << 20).to_string()]),
        };
        if self.no_timeouts {
            command.arg("--no-timeouts");
        }
        let mut server = Process::start("the server", command)?;
        let address = server.line(PATIENCE)?;
        Ok(Stage { server, address, group, server_place, honest_place, attack_place })
    }

    /// Starts the hostile clients.
    fn attack(&self, stage: &Stage) -> io::Result<Vec<Attacker>> {
        let start = |(kind, connections): (Kind, usize)| {
            let mut command = stage.attack_place.command("hostile-attack")?;
            command.args(["--kind", kind.name(), "--server", &stage.address]);
            command.args(["--connections", &connections.to_string()]);
            if kind.is_flood() {
                command.args(["--rate", &self.flood_rate.to_string()]);
            }
            let process = Process::start(kind.name(), command)?;
            Ok(Attacker { kind, process, tally: Tally::default() })
        };
        self.shares().into_iter().map(start).collect()
    }

    /// Waits until the server serves nearly all hostile connections that it is to serve.
    fn await_attack(&self, stage: &mut Stage, attackers: &mut [Attacker]) -> io::Result<()> {
        let (began, expected) = (Instant::now(), self.expected());
        loop {
            thread::sleep(Duration::from_secs(1));
            let report = stage.report()?;
            let open: u64 = attackers.iter_mut().map(Attacker::update).sum::<io::Result<_>>()?;
            eprintln!("  {open} open, {} of {expected} served", report.active);
            if report.active >= expected * 95 / 100 {
                return Ok(());
            }
            if began.elapsed().as_secs_f64() > self.settle {
                let text = format!("{} of {expected} hostile connections", report.active);
                return Err(io::Error::other(format!("the server serves only {text}")));
            }
        }
    }

    /// Waits until the server has no connection.
    fn await_quiet(&self, stage: &mut Stage) -> io::Result<()> {
        let began = Instant::now();
        loop {
            thread::sleep(Duration::from_secs(1));
            let active = stage.report()?.active;
            if active == 0 {
                return Ok(());
            }
            if began.elapsed().as_secs_f64() > self.settle {
                let text = format!("{active} connections are left after the attack");
                return Err(io::Error::other(text));
            }
        }
    }

    /// Runs the honest clients.
    fn measure(&self, stage: &mut Stage, attackers: &mut [Attacker]) -> io::Result<Phase> {
        let mut command = stage.honest_place.command("hostile-honest")?;
        command.args(["--server", &stage.address, "--connections", &self.honest.to_string()]);
        command.args(["--seconds", &self.seconds.to_string()]);
        let used = |attackers: &[Attacker]| -> io::Result<Duration> {
            attackers.iter().map(|one| Ok(one.process.usage()?.cpu)).sum()
        };
        let (began, first) = (Instant::now(), stage.report()?);
        let (usage, attackers_used) = (stage.server.usage()?, used(attackers)?);
        let mut honest = Process::start("the honest clients", command)?;
        let limit = Duration::from_secs_f64(self.seconds) + honest::LIMIT + PATIENCE;
        let met: Met = serde_json::from_str(&honest.line(limit)?)?;
        let seconds = began.elapsed().as_secs_f64();
        let share = |time: Duration| time.as_secs_f64() / seconds;
        let usage = stage.server.usage()? - usage;
        let attack_cpu = share(used(attackers)?.saturating_sub(attackers_used));
        attackers.iter_mut().try_for_each(|one| one.update().map(drop))?;
        let report = stage.report()?;
        Ok(Phase {
            met,
            seconds,
            cpu: share(usage.cpu),
            waited: share(usage.waited),
            report,
            resident: stage.server.resident()?.0,
            held: stage.group.as_ref().map(Group::held).transpose()?,
            counted: report - first,
            attackers: attackers.iter().map(|one| (one.kind, one.tally)).collect(),
            attack_cpu,
        })
    }
}

impl Stage {
    fn report(&mut self) -> io::Result<Report> {
        let told = self.server.ask("report", PATIENCE).map_err(|error| {
            let held = self.group.as_ref().and_then(|group| group.held().ok());
            match held.filter(|held| held.killed > 0) {
                Some(_) => io::Error::other(format!("{error}: its memory has run out")),
                None => error,
            }
        })?;
        Ok(serde_json::from_str(&told)?)
    }
}

/// The process of one kind of hostile client.
struct Attacker {
    kind: Kind,
    process: Process,
    tally: Tally,
}

impl Attacker {
    /// Takes what it last said. Returns how many connections it has open.
    fn update(&mut self) -> io::Result<u64> {
        self.process.check()?;
        if let Some(line) = self.process.latest() {
            self.tally = serde_json::from_str(&line)?;
        }
        Ok(self.tally.open)
    }
}
