//! What a run has shown, as tables, and whether it is what it must be.

use std::error::Error;

use super::attack::Kind;
use super::group::Held;
use super::honest::Latency;
use super::{Hostile, Phase, Round, Stage};
use crate::machine::{Machine, load};

/// What the attacked 99th percentile may be at most, as a multiple of the quiet one.
const MOST: f64 = 3.0;

pub(super) struct Outcome {
    /// How the memory of the server is limited.
    pub(super) form: String,
    pub(super) rounds: Vec<Round>,
    /// The honest clients alone, at the end.
    pub(super) last: Phase,
    /// The most resident memory that the server had.
    pub(super) peak: u64,
    pub(super) held: Option<Held>,
    /// The most memory that it may have.
    pub(super) limit: u64,
}

impl Outcome {
    pub(super) fn print(&self, asked: &Hostile, stage: &Stage) {
        println!("{}; load {}\n", Machine::this().line(), load());
        println!(
            "{} hostile and {} honest connections; the server on core {:?}, all clients on {:?}; \
             the server and the honest clients before ordinary processes; {} MiB by {}\n",
            asked.connections,
            asked.honest,
            stage.server_place.cores,
            stage.attack_place.cores,
            self.limit >> 20,
            self.form
        );
        self.print_latencies();
        self.print_attackers();
        self.print_memory();
        self.print_costs();
    }

    /// The phases in their order, with names.
    fn phases(&self) -> impl Iterator<Item = (String, &Phase)> {
        let rounds = self.rounds.iter().enumerate().flat_map(|(index, round)| {
            let index = index + 1;
            [
                (format!("{index}, quiet"), &round.quiet),
                (format!("{index}, attacked"), &round.attacked),
            ]
        });
        rounds.chain([("quiet again".to_owned(), &self.last)])
    }

    fn print_latencies(&self) {
        println!(
            "| round | requests | p50 us | p99 us | max us | newcomers | p50 us | p99 us | max us \
             | failures | server's core | waited | attackers' core | honest waited |"
        );
        println!("|---|{}", "---|".repeat(13));
        for (name, phase) in self.phases() {
            let Phase { met, cpu, waited, attack_cpu, .. } = phase;
            let [cpu, waited, attack, honest] =
                [*cpu, *waited, *attack_cpu, met.waited].map(|share| share * 100.0);
            println!(
                "| {name} | {} | {} | {} | {cpu:.0} % | {waited:.0} % | {attack:.0} % | \
                 {honest:.0} % |",
                met.established,
                met.newcomers,
                met.failures.len()
            );
        }
        for (who, of) in [("established", established as Choice), ("newcomers", newcomers)] {
            let ratios = self.ratios(of);
            let each: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
            println!(
                "\n{who}: p99 attacked to the mean of the quiet ones before and after: {:.2} \
                 (rounds: {})",
                median(&ratios),
                each.join(", ")
            );
        }
    }

    /// How many times longer the 99th percentile was beside the attack, in each round.
    fn ratios(&self, of: Choice) -> Vec<f64> {
        let after = self.rounds.iter().skip(1).map(|round| &round.quiet).chain([&self.last]);
        let ratio = |(round, after): (&Round, &Phase)| {
            of(&round.attacked).p99 / ((of(&round.quiet).p99 + of(after).p99) / 2.0)
        };
        self.rounds.iter().zip(after).map(ratio).collect()
    }

    /// What became of each kind, at the end of the last attack.
    fn print_attackers(&self) {
        let Some(Round { attacked, .. }) = self.rounds.last() else { return };
        println!(
            "\n| kind | open | connected | closed by the server | reset by it | not connected |"
        );
        println!("|---|---|---|---|---|---|");
        for (kind, tally) in &attacked.attackers {
            let name = kind.name();
            println!(
                "| {name} | {} | {} | {} | {} | {} |",
                tally.open, tally.connected, tally.closed, tally.reset, tally.failed
            );
        }
        let counted = attacked.counted;
        println!(
            "\nthe server in that time: {} active at the end; ended {} idle and {} that took too \
             slowly, refused {} of peers with too many, {} peers were gone, {} accepts waited for \
             memory or descriptors",
            counted.active,
            counted.idle,
            counted.too_slow,
            counted.refused,
            counted.gone,
            counted.stalls
        );
    }

    fn print_memory(&self) {
        println!(
            "\n| round | served | resident MiB | group MiB | of it kernel | sockets' data MiB |"
        );
        println!("|---|---|---|---|---|---|");
        for (name, phase) in self.phases() {
            let held = phase.held.map_or_else(
                || " | | ".to_owned(),
                |held| {
                    let parts = [held.now, held.kernel, held.sockets].map(mebibytes);
                    format!("{:.1} | {:.1} | {:.1}", parts[0], parts[1], parts[2])
                },
            );
            let resident = mebibytes(phase.resident);
            println!("| {name} | {} | {resident:.1} | {held} |", phase.report.active);
        }
        let group = self.held.map_or_else(String::new, |held| {
            format!(", of the group {:.1} MiB, {} killed", mebibytes(held.peak), held.killed)
        });
        println!("\nat the most: resident {:.1} MiB{group}", mebibytes(self.peak));
    }

    /// What a hostile connection costs, where they are all of one kind.
    fn print_costs(&self) {
        let Some(Round { quiet, attacked }) = self.rounds.first() else { return };
        let [(kind, _)] = attacked.attackers[..] else { return };
        let count = attacked.report.active.saturating_sub(quiet.report.active).max(1) as f64;
        let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / count;
        print!(
            "\na connection of kind {}: {:.0} bytes resident",
            kind.name(),
            each(attacked.resident, quiet.resident)
        );
        if let (Some(now), Some(before)) = (attacked.held, quiet.held) {
            print!(
                ", {:.0} of kernel objects, {:.0} of sockets' data",
                each(now.kernel, before.kernel),
                each(now.sockets, before.sockets)
            );
        }
        println!();
        if kind.is_flood() {
            let seconds = attacked.seconds;
            let events =
                if kind == Kind::Flood { attacked.counted.refused } else { attacked.counted.gone };
            let cost = (attacked.cpu - quiet.cpu) * seconds * 1e6 / (events as f64).max(1.0);
            println!("{events} of them in {seconds:.1} s, {cost:.1} us of the server's time each");
        }
    }

    /// Fails if the server did not serve, or took more than it may.
    pub(super) fn check(&self, asked: &Hostile) -> Result<(), Box<dyn Error>> {
        for (name, phase) in self.phases() {
            let met = &phase.met;
            if let Some(first) = met.failures.first() {
                let count = met.failures.len();
                return Err(format!("{name}: {count} honest requests failed: {first}").into());
            }
            if met.established.requests == 0 || met.newcomers.requests == 0 {
                return Err(format!("{name}: honest clients were not served").into());
            }
        }
        let taken = self.held.map_or(self.peak, |held| held.peak);
        if taken > self.limit {
            return Err(format!("the server took {:.1} MiB", mebibytes(taken)).into());
        }
        let ratio = median(&self.ratios(established));
        if asked.strict && ratio > MOST {
            return Err(format!("the 99th percentile rose to {ratio:.2} times").into());
        }
        Ok(())
    }
}

/// Which latency of a phase.
type Choice = fn(&Phase) -> Latency;

fn established(phase: &Phase) -> Latency {
    phase.met.established
}

fn newcomers(phase: &Phase) -> Latency {
    phase.met.newcomers
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
