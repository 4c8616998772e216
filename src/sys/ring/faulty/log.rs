//! What a faulty ring has done, to find the mistake that it has shown.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::{fmt, thread};

/// How many lines are kept, the last ones.
const LINES: usize = 400;

/// What faults have been made, as text: one line each, the last few hundred (feature `faults`).
#[derive(Clone, Default)]
pub struct FaultLog(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    seed: u64,
    kept: VecDeque<String>,
    /// How many there have been.
    count: u64,
}

/// Those of rings that may be alive.
static LIVE: Mutex<Vec<Weak<Mutex<Lines>>>> = Mutex::new(Vec::new());

impl FaultLog {
    /// Returns how many faults have been made.
    pub fn count(&self) -> u64 {
        self.lines().count
    }

    /// Prints the faults of all runtimes of this process to standard error.
    ///
    /// For a watchdog that ends a test which hangs.
    pub fn print_all() {
        let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner).clone();
        live.iter().filter_map(Weak::upgrade).for_each(|log| Self(log).print());
    }

    /// Prints to standard error. Not by a macro, which panics if that is closed.
    pub(super) fn print(&self) {
        let thread = thread::current().name().unwrap_or("unnamed").to_owned();
        let _ = io::stderr().write_all(format!("in thread {thread}: {self}\n").as_bytes());
    }

    /// A ring with this seed writes here from now on.
    pub(super) fn begin(&self, seed: u64) {
        self.lines().seed = seed;
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|log| log.strong_count() > 0);
        live.push(Arc::downgrade(&self.0));
    }

    pub(super) fn add(&self, line: String) {
        let mut lines = self.lines();
        if lines.kept.len() == LINES {
            lines.kept.pop_front();
        }
        lines.kept.push_back(line);
        lines.count += 1;
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for FaultLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let (seed, count, kept) = (lines.seed, lines.count, lines.kept.len());
        writeln!(f, "faults: seed {seed}: {count} faults, of which the last {kept} are:")?;
        lines.kept.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "faults: seed {seed}: set ANNULUS_FAULTS={seed} to make them again")
    }
}

impl fmt::Debug for FaultLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultLog").field("count", &self.count()).finish_non_exhaustive()
    }
}
