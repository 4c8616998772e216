//! What each workload has done, on all shards.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::failure::Failure;

/// The most failures that are kept, and printed at the end; all are counted.
const KEPT: usize = 20;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rounds: AtomicU64,
    pub(crate) operations: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Rounds that have begun and not ended.
    pub(crate) running: AtomicU64,
}

impl Tally {
    pub(crate) fn add(&self, work: Work) {
        self.rounds.fetch_add(1, Relaxed);
        self.operations.fetch_add(work.operations, Relaxed);
        self.bytes.fetch_add(work.bytes, Relaxed);
    }
}

/// What a round has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    pub(crate) operations: u64,
    /// Bytes that were checked.
    pub(crate) bytes: u64,
}

impl Work {
    pub(crate) fn new(operations: usize, bytes: usize) -> Self {
        Self { operations: operations as u64, bytes: bytes as u64 }
    }
}

/// The tallies of all workloads, by their place in the list of workloads.
#[derive(Debug)]
pub(crate) struct Tallies {
    pub(crate) of: Vec<Tally>,
    /// Tasks of workloads and of the services that they use.
    pub(crate) tasks: AtomicUsize,
    /// The first failures.
    pub(crate) failures: Mutex<Vec<String>>,
}

impl Tallies {
    pub(crate) fn new(workloads: usize) -> Self {
        let of = (0..workloads).map(|_| Tally::default()).collect();
        Self { of, tasks: AtomicUsize::new(0), failures: Mutex::default() }
    }

    pub(crate) fn fail(&self, workload: usize, name: &str, round: u64, failure: &Failure) {
        self.of[workload].failures.fetch_add(1, Relaxed);
        self.note(format!("{name}, round of seed {round}: {failure}"));
    }

    /// Prints a failure, and keeps it.
    pub(crate) fn note(&self, text: String) {
        eprintln!("FAILURE {text}");
        let mut failures = self.failures.lock().expect("no thread panics with it");
        if failures.len() < KEPT {
            failures.push(text);
        }
    }

    pub(crate) fn sum(&self, of: impl Fn(&Tally) -> &AtomicU64) -> u64 {
        self.of.iter().map(|tally| of(tally).load(Relaxed)).sum()
    }
}
