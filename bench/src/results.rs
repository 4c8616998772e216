//! What a run found, as it is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::summary::{Better, Score, Spread, ratios, score};

/// One run of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) scenario: String,
    /// The arguments that made it.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) server_cores: Vec<usize>,
    pub(crate) load_cores: Vec<usize>,
    pub(crate) rounds: usize,
    /// How long a round measured, in seconds.
    pub(crate) window: f64,
    /// Of those that were compared and are crates: which versions.
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) cells: Vec<Cell>,
}

/// What was compared under the same conditions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) name: String,
    /// The first is what the contenders are compared by.
    pub(crate) columns: Vec<Column>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) skipped: Vec<Skipped>,
    /// The contender that the ratios are to.
    pub(crate) reference: Option<String>,
    /// The best of the hand-written servers.
    #[serde(default)]
    pub(crate) limit: Option<String>,
    /// The contender whose rounds ahead of each other are counted.
    #[serde(default)]
    pub(crate) against: Option<String>,
}

/// Whom contenders are compared with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) reference: Option<String>,
    pub(crate) against: Option<String>,
}

/// The names for the best hand-written server of a cell, and for the best of those on the ring.
pub(crate) const LIMIT: &str = "limit";
pub(crate) const RINGS: &str = "raw-uring";

/// A figure that each contender has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) better: Better,
}

/// A contender in a cell.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) contender: String,
    pub(crate) form: String,
    /// What it receives into.
    #[serde(default)]
    pub(crate) memory: String,
    /// A hand-written server, of which the best in a cell is the limit there.
    pub(crate) is_limit: bool,
    /// One a round.
    pub(crate) samples: Vec<Sample>,
    pub(crate) summary: BTreeMap<String, Spread>,
    /// How much better it was than the reference by the first column, above one is better.
    pub(crate) ratio: Option<Spread>,
    /// Likewise, to the limit.
    #[serde(default)]
    pub(crate) to_limit: Option<Spread>,
    /// How much less processor time than the reference an operation took, above one is better.
    #[serde(default)]
    pub(crate) cpu_ratio: Option<Spread>,
    /// How much better the one that others are held against was, by the first column: above one,
    /// this entry is behind.
    #[serde(default)]
    pub(crate) lead: Option<Spread>,
    /// Likewise, by processor time.
    #[serde(default)]
    pub(crate) cpu_lead: Option<Spread>,
    /// In how many rounds the one that others are held against was ahead, by the first column.
    #[serde(default)]
    pub(crate) behind: Option<Score>,
    /// Likewise, by processor time.
    #[serde(default)]
    pub(crate) cpu_behind: Option<Score>,
}

/// The figures of a contender in a round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// By the name of their column. A figure that a contender does not have is left out.
    pub(crate) figures: BTreeMap<String, f64>,
    /// The load was busy all the time and the server was not: the figure is the load's.
    pub(crate) load_bound: bool,
    /// Why a figure is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// A contender that is missing from a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Skipped {
    pub(crate) contender: String,
    pub(crate) reason: String,
    /// It took part, and failed.
    #[serde(default)]
    pub(crate) failed: bool,
}

impl Cell {
    /// Works out the summaries and ratios from the samples.
    pub(crate) fn summarise(&mut self, wanted: &Wanted) {
        let Some(first) = self.columns.first().cloned() else { return };
        for entry in &mut self.entries {
            let spreads = self.columns.iter().filter_map(|column| {
                let values = entry.values(&column.name);
                Some((column.name.clone(), Spread::of(values.into_iter().flatten())?))
            });
            entry.summary = spreads.collect();
        }
        self.limit = self.best_of(|_| true);
        self.reference = self.reference_of(wanted.reference.as_deref());
        let choices = wanted.against.as_deref().into_iter().chain(["annulus"]);
        self.against = choices.into_iter().find(|name| self.has(name)).map(str::to_owned);

        let cpu = self.columns.iter().find(|column| column.name.starts_with("cpu ")).cloned();
        let values = |name: &Option<String>, column: &Column| {
            let entry =
                self.entries.iter().find(|entry| Some(&entry.contender) == name.as_ref())?;
            Some(entry.values(&column.name))
        };
        let reference = values(&self.reference, &first);
        let limit = values(&self.limit, &first);
        let against = values(&self.against, &first);
        let cpu_of = |name| cpu.as_ref().and_then(|column| values(name, column));
        let (cpu_reference, cpu_against) = (cpu_of(&self.reference), cpu_of(&self.against));
        for entry in &mut self.entries {
            let own = entry.values(&first.name);
            let ratio = |other: &Vec<_>| ratios(&own, other, first.better);
            entry.ratio = reference.as_ref().and_then(ratio);
            entry.to_limit = limit.as_ref().and_then(ratio);
            // A contender is not compared with itself.
            let is_other = self.against.as_ref() != Some(&entry.contender);
            let against = against.as_ref().filter(|_| is_other);
            entry.behind = against.and_then(|other| score(other, &own, first.better));
            entry.lead = against.and_then(|other| ratios(other, &own, first.better));
            let Some(cpu) = &cpu else { continue };
            let own = entry.values(&cpu.name);
            entry.cpu_ratio =
                cpu_reference.as_ref().and_then(|other| ratios(&own, other, cpu.better));
            let against = cpu_against.as_ref().filter(|_| is_other);
            entry.cpu_behind = against.and_then(|other| score(other, &own, cpu.better));
            entry.cpu_lead = against.and_then(|other| ratios(other, &own, cpu.better));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.contender == name)
    }

    /// The contender that ratios are to: the one asked for, if it is in the cell.
    fn reference_of(&self, wanted: Option<&str>) -> Option<String> {
        let asked = match wanted {
            Some(LIMIT) => self.limit.clone(),
            Some(RINGS) => self.best_of(|entry| entry.contender.starts_with(RINGS)),
            Some(name) => self.has(name).then(|| name.to_owned()),
            None => None,
        };
        let others = ["raw-epoll", "raw-threads", "tokio", "annulus"];
        asked.or_else(|| others.into_iter().find(|name| self.has(name)).map(str::to_owned))
    }

    /// The best of some of the hand-written servers.
    fn best_of(&self, some: impl Fn(&Entry) -> bool) -> Option<String> {
        let first = self.columns.first()?;
        let limits = self.entries.iter().filter(|entry| entry.is_limit && some(entry));
        let measured = limits.filter_map(|entry| Some((entry, entry.summary.get(&first.name)?)));
        let best = measured.max_by(|(_, one), (_, other)| {
            let order = one.median.total_cmp(&other.median);
            if first.better == Better::Higher { order } else { order.reverse() }
        });
        best.map(|(entry, _)| entry.contender.clone())
    }

    /// The best of the hand-written servers.
    pub(crate) fn limit(&self) -> Option<&Entry> {
        let name = self.limit.as_ref()?;
        self.entries.iter().find(|entry| entry.contender == *name)
    }
}

impl Entry {
    fn values(&self, column: &str) -> Vec<Option<f64>> {
        self.samples.iter().map(|sample| sample.figures.get(column).copied()).collect()
    }

    /// Whether the load was the bottleneck in most rounds.
    pub(crate) fn is_load_bound(&self) -> bool {
        let bound = self.samples.iter().filter(|sample| sample.load_bound).count();
        bound * 2 > self.samples.len()
    }
}

impl Sample {
    pub(crate) fn set(&mut self, column: &str, figure: f64) {
        self.figures.insert(column.to_owned(), figure);
    }
}

impl Results {
    /// Writes `<scenario>.json` in a folder, and says where.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.json", self.scenario));
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Reads one scenario's run from a folder.
    pub(crate) fn read(folder: &Path, scenario: &str) -> io::Result<Self> {
        let path = folder.join(format!("{scenario}.json"));
        let text = fs::read_to_string(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Reads what was written to a folder, in the order of the scenarios' names.
    pub(crate) fn read_all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().map(|path| Ok(serde_json::from_str(&fs::read_to_string(path)?)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(contender: &str, is_limit: bool, values: &[f64]) -> Entry {
        let samples = values.iter().map(|value| {
            let mut sample = Sample::default();
            sample.set("rate", *value);
            sample
        });
        Entry {
            contender: contender.to_owned(),
            is_limit,
            samples: samples.collect(),
            ..Entry::default()
        }
    }

    fn cell(better: Better) -> Cell {
        Cell {
            name: "cell".to_owned(),
            columns: vec![Column { name: "rate".to_owned(), better }],
            entries: vec![
                entry("annulus", false, &[8.0, 9.0, 10.0]),
                entry("raw-epoll", true, &[4.0, 4.5, 5.0]),
                entry("raw-uring", true, &[6.0, 6.0, 6.0]),
            ],
            ..Cell::default()
        }
    }

    #[test]
    fn ratios_are_to_the_reference_that_was_asked_for() {
        let mut cell = cell(Better::Higher);
        cell.summarise(&Wanted::default());
        assert_eq!(cell.reference.as_deref(), Some("raw-epoll"));
        assert_eq!(cell.entries[0].ratio.unwrap().median, 2.0);
        cell.summarise(&reference("annulus"));
        assert_eq!(cell.entries[1].ratio.unwrap().median, 0.5);
        // One that is not there is replaced.
        cell.summarise(&reference("unknown"));
        assert_eq!(cell.reference.as_deref(), Some("raw-epoll"));
    }

    fn reference(name: &str) -> Wanted {
        Wanted { reference: Some(name.to_owned()), against: None }
    }

    #[test]
    fn a_reference_may_be_the_best_of_a_family() {
        let mut cell = cell(Better::Lower);
        cell.summarise(&reference("limit"));
        assert_eq!(cell.reference.as_deref(), Some("raw-epoll"));
        cell.summarise(&reference("raw-uring"));
        assert_eq!(cell.reference.as_deref(), Some("raw-uring"));
        assert_eq!(cell.entries[0].to_limit.unwrap().median, 0.5);
    }

    #[test]
    fn rounds_ahead_are_counted_by_both_columns() {
        let mut cell = cell(Better::Higher);
        let cpu = Column { name: "cpu us".to_owned(), better: Better::Lower };
        cell.columns.push(cpu);
        for (entry, figure) in cell.entries.iter_mut().zip([3.0, 6.0, 2.0]) {
            entry.samples.iter_mut().for_each(|sample| sample.set("cpu us", figure));
        }
        cell.summarise(&Wanted::default());
        assert_eq!(cell.against.as_deref(), Some("annulus"));
        assert_eq!(cell.entries[0].behind, None);
        assert_eq!(cell.entries[1].behind, Some(Score { ahead: 3, rounds: 3 }));
        assert_eq!(cell.entries[2].behind, Some(Score { ahead: 3, rounds: 3 }));
        assert_eq!(cell.entries[2].cpu_behind, Some(Score { ahead: 0, rounds: 3 }));
        assert_eq!(cell.entries[0].cpu_ratio.unwrap().median, 2.0);
        assert_eq!(cell.entries[0].lead, None);
        assert_eq!(cell.entries[1].lead.unwrap().median, 2.0);
        assert_eq!(cell.entries[2].cpu_lead.unwrap().median, 2.0 / 3.0);
    }

    #[test]
    fn the_limit_is_the_best_of_the_hand_written() {
        let mut higher = cell(Better::Higher);
        higher.summarise(&Wanted::default());
        assert_eq!(higher.limit().unwrap().contender, "raw-uring");
        let mut lower = cell(Better::Lower);
        lower.summarise(&Wanted::default());
        assert_eq!(lower.limit().unwrap().contender, "raw-epoll");
    }

    #[test]
    fn results_are_read_as_they_are_written() {
        let mut cell = cell(Better::Higher);
        cell.summarise(&Wanted::default());
        let text = serde_json::to_string(&cell).unwrap();
        let again: Cell = serde_json::from_str(&text).unwrap();
        assert_eq!(again.entries[0].ratio, cell.entries[0].ratio);
    }
}
