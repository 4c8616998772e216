//! What a run found, as it is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::summary::{Better, Spread, ratios};

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
    pub(crate) cells: Vec<Cell>,
}

/// What was compared under the same conditions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) name: String,
    /// The first is what the contenders are compared by.
    pub(crate) columns: Vec<Column>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) skipped: Vec<Skipped>,
    /// The contender that the ratios are to.
    pub(crate) reference: Option<String>,
}

/// A figure that each contender has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) better: Better,
}

/// A contender in a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) contender: String,
    pub(crate) form: String,
    /// A hand-written server, of which the best in a cell is the limit there.
    pub(crate) is_limit: bool,
    /// One a round.
    pub(crate) samples: Vec<Sample>,
    pub(crate) summary: BTreeMap<String, Spread>,
    /// How much better it was than the reference by the first column, above one is better.
    pub(crate) ratio: Option<Spread>,
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
}

impl Cell {
    /// Works out the summaries and ratios from the samples.
    pub(crate) fn summarise(&mut self, wanted: Option<&str>) {
        let present = |name: &str| self.entries.iter().any(|entry| entry.contender == name);
        let choices = wanted.into_iter().chain(["raw-epoll", "raw-threads", "tokio", "annulus"]);
        self.reference = choices.into_iter().find(|name| present(name)).map(str::to_owned);
        let Some(first) = self.columns.first().cloned() else { return };
        let reference = self.reference.as_ref().and_then(|name| {
            let entry = self.entries.iter().find(|entry| entry.contender == *name)?;
            Some(entry.values(&first.name))
        });
        for entry in &mut self.entries {
            let spreads = self.columns.iter().filter_map(|column| {
                let values = entry.values(&column.name);
                Some((column.name.clone(), Spread::of(values.into_iter().flatten())?))
            });
            entry.summary = spreads.collect();
            let values = entry.values(&first.name);
            entry.ratio = reference.as_ref().and_then(|other| ratios(&values, other, first.better));
        }
    }

    /// The best of the hand-written servers.
    pub(crate) fn limit(&self) -> Option<&Entry> {
        let first = self.columns.first()?;
        let limits = self.entries.iter().filter(|entry| entry.is_limit);
        limits.max_by(|one, other| {
            let median = |entry: &Entry| entry.summary.get(&first.name).map_or(0.0, |s| s.median);
            let order = median(one).total_cmp(&median(other));
            if first.better == Better::Higher { order } else { order.reverse() }
        })
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
            form: String::new(),
            is_limit,
            samples: samples.collect(),
            summary: BTreeMap::new(),
            ratio: None,
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
            skipped: Vec::new(),
            reference: None,
        }
    }

    #[test]
    fn ratios_are_to_the_reference_that_was_asked_for() {
        let mut cell = cell(Better::Higher);
        cell.summarise(None);
        assert_eq!(cell.reference.as_deref(), Some("raw-epoll"));
        assert_eq!(cell.entries[0].ratio.unwrap().median, 2.0);
        cell.summarise(Some("annulus"));
        assert_eq!(cell.entries[1].ratio.unwrap().median, 0.5);
        // One that is not there is replaced.
        cell.summarise(Some("nobody"));
        assert_eq!(cell.reference.as_deref(), Some("raw-epoll"));
    }

    #[test]
    fn the_limit_is_the_best_of_the_hand_written() {
        let mut higher = cell(Better::Higher);
        higher.summarise(None);
        assert_eq!(higher.limit().unwrap().contender, "raw-uring");
        let mut lower = cell(Better::Lower);
        lower.summarise(None);
        assert_eq!(lower.limit().unwrap().contender, "raw-epoll");
    }

    #[test]
    fn results_are_read_as_they_are_written() {
        let mut cell = cell(Better::Higher);
        cell.summarise(None);
        let text = serde_json::to_string(&cell).unwrap();
        let again: Cell = serde_json::from_str(&text).unwrap();
        assert_eq!(again.entries[0].ratio, cell.entries[0].ratio);
    }
}
