//! Interleaved rounds: each round measures all contenders, so that what the machine does
//! meanwhile meets all alike.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::contenders::{self, Contender, Memory};
use crate::results::{self, Column, Entry, Sample, Skipped, Wanted};
use crate::scenarios::{bytes, size_name};
use crate::summary::Better;

/// Where and how long to measure.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// One or more. Only a server that is to use several gets more than the first.
    pub(crate) server_cores: Vec<usize>,
    /// One or more. The load's own thread is on the first.
    pub(crate) load_cores: Vec<usize>,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    pub(crate) rounds: usize,
}

impl Settings {
    /// The core of a server that is given only one.
    pub(crate) fn one_core(&self) -> &[usize] {
        &self.server_cores[..1]
    }

    /// Two cores for threads that call each other: the load's first is idle meanwhile.
    pub(crate) fn two_cores(&self) -> Vec<usize> {
        let second = self.server_cores.get(1).or(self.load_cores.first());
        self.server_cores.iter().take(1).chain(second).copied().collect()
    }

    /// The cores of a load beside its first.
    pub(crate) fn helpers(&self) -> &[usize] {
        &self.load_cores[1..]
    }
}

/// Conditions under which contenders are compared.
pub(crate) struct Cell {
    pub(crate) name: String,
    /// The figures of a sample. The first is what contenders are compared by.
    pub(crate) columns: &'static [(&'static str, Better)],
    /// Why a contender has no place here, if it has none.
    pub(crate) objection: Box<Objection>,
    pub(crate) measure: Box<Measure>,
}

pub(crate) type Objection = dyn Fn(&dyn Contender) -> Option<String>;
type Measure = dyn Fn(&dyn Contender, &Settings) -> io::Result<Sample>;

/// Measures a cell. A contender that fails in a round is left out from there on, with the reason.
pub(crate) fn run(
    cell: &Cell,
    contenders: &[Box<dyn Contender>],
    settings: &Settings,
    wanted: &Wanted,
) -> results::Cell {
    let mut entries: Vec<Entry> = Vec::new();
    let mut skipped = Vec::new();
    for contender in contenders {
        match (cell.objection)(contender.as_ref()) {
            None => entries.push(entry(contender.as_ref())),
            Some(reason) => skipped.push(skip(contender.as_ref(), reason, false)),
        }
    }
    let bar = progress(&cell.name, entries.len() * settings.rounds);
    let mut order: Vec<_> = contenders.iter().collect();
    let mut chance = Chance::new();
    for _ in 0..settings.rounds {
        // No one always follows the same other, which may leave something behind.
        chance.shuffle(&mut order);
        for &contender in &order {
            let Some(entry) = entries.iter_mut().find(|one| one.contender == contender.name())
            else {
                continue;
            };
            bar.set_message(contender.name());
            match (cell.measure)(contender.as_ref(), settings) {
                Ok(sample) => entry.samples.push(sample),
                Err(error) => {
                    skipped.push(skip(contender.as_ref(), error.to_string(), true));
                    entries.retain(|one| one.contender != contender.name());
                }
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let columns = cell.columns.iter();
    let columns = columns.map(|&(name, better)| Column { name: name.to_owned(), better });
    let mut done = results::Cell {
        name: cell.name.clone(),
        columns: columns.collect(),
        entries,
        skipped,
        ..results::Cell::default()
    };
    done.summarise(wanted);
    done
}

/// Numbers that have no pattern.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            items.swap(end, (self.0 >> 33) as usize % (end + 1));
        }
    }
}

fn entry(contender: &dyn Contender) -> Entry {
    Entry {
        contender: contender.name().to_owned(),
        form: contender.form().to_owned(),
        memory: memory(contender),
        is_limit: contenders::is_limit(contender.name()),
        ..Entry::default()
    }
}

fn skip(contender: &dyn Contender, reason: String, failed: bool) -> Skipped {
    Skipped { contender: contender.name().to_owned(), reason, failed }
}

/// What a contender receives into, as it is to be shown.
fn memory(contender: &dyn Contender) -> String {
    match contender.memory() {
        Memory::Shared(what) => what.to_owned(),
        Memory::Own => {
            let size = contender.name().split_once('@').map_or("16k", |(_, size)| size);
            let size = bytes(size).map_or_else(|_| size.to_owned(), size_name);
            format!("{size} a connection")
        }
    }
}

/// A bar on a terminal; nothing elsewhere.
fn progress(cell: &str, steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}: {wide_bar} {pos}/{len} {msg}");
    let bar = ProgressBar::new(steps as u64).with_prefix(cell.to_owned());
    bar.with_style(style.expect("the template is well-formed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_keeps_all_and_gives_each_the_first_place() {
        let mut chance = Chance::new();
        let mut firsts = [false; 4];
        for _ in 0..200 {
            let mut items = [0, 1, 2, 3];
            chance.shuffle(&mut items);
            firsts[items[0]] = true;
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2, 3]);
        }
        assert_eq!(firsts, [true; 4]);
    }
}
