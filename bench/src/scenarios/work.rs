//! `tasks` and `timers`: what a runtime does alone, in a process of its own.

use std::io;
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;

use crate::compare::{Cell, Settings};
use crate::contenders::Contender;
use crate::results::Sample;
use crate::server::{list, run_to_end};
use crate::summary::Better::{self, Lower};
use crate::workloads::{Measured, Workload};

const COSTS: &[(&str, Better)] = &[("ns/operation", Lower), ("instructions", Lower)];
const LATENESS: &[(&str, Better)] =
    &[("p50 us late", Lower), ("p99 us late", Lower), ("max us late", Lower)];

/// How many tasks sleep at once.
const SLEEPERS: u64 = 1_000_000;

/// A workload may take this much longer than was asked for.
const ALLOWANCE: Duration = Duration::from_secs(60);

/// How many operations are counted in instructions, beyond those that only warm up.
const COUNTED: u64 = 20_000;

/// What instructions are counted with.
const CALLGRIND: [&str; 3] = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];

#[derive(Args, Clone, Debug)]
pub(crate) struct Tasks {
    /// Counts instructions too, with valgrind, where it is installed. They are those of user space
    /// only, and hardly differ from run to run, also on a busy machine.
    #[arg(long)]
    pub(crate) instructions: bool,
    /// Only calls between threads.
    #[arg(long)]
    pub(crate) crossing: bool,
}

/// Spawning, joining, yielding, waking.
pub(crate) fn tasks(instructions: bool) -> Vec<Cell> {
    let cell = |name, workload| self::cell(name, workload, None, instructions);
    vec![
        cell("spawn a task and join it", Workload::SpawnJoin),
        cell("spawn 1000 tasks, then join them", Workload::SpawnMany),
        cell("gather 1000 futures that yield once", Workload::Gather),
        cell("yield", Workload::Yield),
        cell("wake another task, two in turn", Workload::Wake),
        cell("pass a token round 1000 tasks", Workload::Ring),
        cell("lock and unlock, alone", Workload::Lock),
        cell("64 tasks lock in turn and yield", Workload::ContendedLock),
        cell("acquire and release a semaphore, alone", Workload::Semaphore),
        cell("64 tasks share 4 permits and yield", Workload::ContendedSemaphore),
        cell("one task puts, another gets, 64 places", Workload::Queue),
        // Two threads under valgrind take turns in its way and not the kernel's.
        self::cell(
            "round trip to another thread on the same core, both asleep",
            Workload::RemoteWake,
            None,
            false,
        ),
    ]
}

/// Calls between threads that each run a runtime, on two cores.
pub(crate) fn crossing() -> Vec<Cell> {
    let cell = |name, workload| self::cell(name, workload, None, false);
    vec![
        cell("call another thread and wait for its answer", Workload::CrossCall),
        cell("call another thread 1000 times at once", Workload::CrossBatch),
        cell("call three other threads at once", Workload::CrossBroadcast),
    ]
}

/// Sleeping.
pub(crate) fn timers() -> Vec<Cell> {
    let cell = |name, workload, operations| self::cell(name, workload, operations, false);
    vec![
        cell("start a sleep and drop it, 10000 others running", Workload::StartCancel, None),
        cell("a million sleeping tasks", Workload::SleepMany, Some(SLEEPERS)),
        cell("sleeps of 1 to 5 ms on an idle loop", Workload::Lateness, None),
    ]
}

fn cell(name: &str, workload: Workload, operations: Option<u64>, instructions: bool) -> Cell {
    let columns = if workload == Workload::Lateness { LATENESS } else { COSTS };
    Cell {
        name: name.to_owned(),
        columns,
        objection: Box::new(move |contender| contender.lacks_work(workload).map(str::to_owned)),
        measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
            let measured = measure(contender, workload, operations, settings)?;
            let mut sample = sample(workload, &measured);
            if instructions {
                match count(contender, workload, settings) {
                    Ok(count) => sample.set("instructions", count),
                    Err(error) => sample.notes.push(format!("no instructions, {error}")),
                }
            }
            Ok(sample)
        }),
    }
}

fn measure(
    contender: &dyn Contender,
    workload: Workload,
    operations: Option<u64>,
    settings: &Settings,
) -> io::Result<Measured> {
    let arguments = arguments(contender, workload, operations, settings);
    let output = run_to_end(contender, &[], &arguments, settings.window * 4 + ALLOWANCE)?;
    Ok(serde_json::from_str(&output.said)?)
}

/// The instructions of an operation: those of many less those of few, so that starting and ending
/// count for nothing.
fn count(contender: &dyn Contender, workload: Workload, settings: &Settings) -> io::Result<f64> {
    if !contender.works_itself() {
        return Err(io::Error::other("another program does it"));
    }
    let total = |operations| {
        let arguments = arguments(contender, workload, Some(operations), settings);
        let output = run_to_end(contender, &CALLGRIND, &arguments, ALLOWANCE)?;
        collected(&output.complained).ok_or_else(|| io::Error::other("callgrind gave no count"))
    };
    let (few, many) = (total(COUNTED)?, total(2 * COUNTED)?);
    Ok(many.saturating_sub(few) as f64 / COUNTED as f64)
}

/// The sum among callgrind's last words, as in `==7== Collected : 123456`.
fn collected(words: &str) -> Option<u64> {
    let line = words.lines().rfind(|line| line.contains("Collected"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

fn arguments(
    contender: &dyn Contender,
    workload: Workload,
    operations: Option<u64>,
    settings: &Settings,
) -> Vec<String> {
    let mut arguments =
        ["work", contender.hosted_as(), &workload.name()].map(str::to_owned).to_vec();
    let cores =
        if workload.crosses() { settings.two_cores() } else { settings.one_core().to_vec() };
    arguments.extend(["--cores".to_owned(), list(&cores)]);
    arguments.extend(["--seconds".to_owned(), settings.window.as_secs_f64().to_string()]);
    if let Some(operations) = operations {
        arguments.extend(["--operations".to_owned(), operations.to_string()]);
    }
    arguments
}

fn sample(workload: Workload, measured: &Measured) -> Sample {
    let mut sample = Sample::default();
    if workload != Workload::Lateness {
        sample.set("ns/operation", measured.nanoseconds_per_operation());
        return sample;
    }
    let mut lateness =
        Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are right");
    measured.lateness.iter().for_each(|&late| lateness.saturating_record(late));
    sample.set("p50 us late", lateness.value_at_quantile(0.5) as f64 / 1e3);
    sample.set("p99 us late", lateness.value_at_quantile(0.99) as f64 / 1e3);
    sample.set("max us late", lateness.max() as f64 / 1e3);
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_callgrind_is_read() {
        let words = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected(words), Some(123_456));
        assert_eq!(collected("valgrind: fatal"), None);
    }
}
