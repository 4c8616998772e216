//! Work that a runtime does alone: tasks and timers, in the child's own process.
//!
//! A runtime says how it starts, spawns, yields and sleeps ([`Runtime`]); what is done with that is
//! written once, so that all do the same.

pub(crate) mod crossing;
mod remote;
mod signal;
pub(crate) mod sync;
mod tasks;
mod timers;
mod yield_once;

pub(crate) use sync::Primitives;
pub(crate) use yield_once::yield_once;

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

/// What a runtime must offer to be measured.
pub(crate) trait Runtime: 'static {
    /// Makes the runtime, and runs a future on it to its end.
    fn run<F>(future: F) -> io::Result<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static;

    /// Starts a task. Awaiting what this returns is joining it.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Runs futures side by side, and returns what they come to, in whatever order is its way.
    fn gather<F>(futures: Vec<F>) -> impl Future<Output = Vec<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        join_all(futures)
    }

    /// Lets other tasks run.
    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Waits.
    fn sleep(duration: Duration) -> impl Future<Output = ()>;

    /// Starts a task that waits.
    fn spawn_sleep(duration: Duration) -> impl Future<Output = ()> + 'static;
}

/// What to do; the number of operations says how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Spawn an empty task and join it.
    SpawnJoin,
    /// Spawn a thousand empty tasks, then join them all.
    SpawnMany,
    /// Run a thousand futures side by side, each of which yields once.
    Gather,
    /// One task yields.
    Yield,
    /// Two tasks wake each other in turn.
    Wake,
    /// A thousand tasks pass a token round.
    Ring,
    /// A task and another thread wake each other in turn, both asleep in between.
    RemoteWake,
    /// A thread calls another, and waits for the answer.
    CrossCall,
    /// A thread calls another a thousand times at once; a call is an operation.
    CrossBatch,
    /// A thread calls three others at once.
    CrossBroadcast,
    /// Lock and unlock, alone.
    Lock,
    /// Many tasks lock in turn, and yield meanwhile.
    ContendedLock,
    /// Acquire and release, alone.
    Semaphore,
    /// Many tasks acquire a permit, and yield meanwhile.
    ContendedSemaphore,
    /// One task puts, another gets.
    Queue,
    /// Start a timer and drop it, with many others running.
    StartCancel,
    /// Tasks that sleep, all at once; a task is an operation.
    SleepMany,
    /// Sleeps of a few milliseconds on an idle loop: how late they end.
    Lateness,
}

impl Workload {
    /// The scenario that it is part of.
    pub(crate) fn scenario(self) -> &'static str {
        match self {
            Self::StartCancel | Self::SleepMany | Self::Lateness => "timers",
            _ => "tasks",
        }
    }

    /// Whether it needs calls between threads.
    pub(crate) fn crosses(self) -> bool {
        matches!(self, Self::CrossCall | Self::CrossBatch | Self::CrossBroadcast)
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) operations: u64,
    pub(crate) nanoseconds: u64,
    /// For each sleep, by how many nanoseconds it was late.
    pub(crate) lateness: Vec<u64>,
}

impl Measured {
    fn of(operations: u64, elapsed: Duration) -> Self {
        Self { operations, nanoseconds: elapsed.as_nanos() as u64, lateness: Vec::new() }
    }

    /// Measures a future that does this number of operations.
    async fn of_future(operations: u64, future: impl Future<Output = ()>) -> Self {
        let began = Instant::now();
        future.await;
        Self::of(operations, began.elapsed())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    pub(crate) fn nanoseconds_per_operation(&self) -> f64 {
        self.nanoseconds as f64 / self.operations as f64
    }
}

/// Does a workload on a runtime.
pub(crate) fn run<R: Runtime>(workload: Workload, operations: u64) -> io::Result<Measured> {
    match workload {
        Workload::SpawnJoin => R::run(tasks::spawn_join::<R>(operations)),
        Workload::SpawnMany => R::run(tasks::spawn_many::<R>(operations)),
        Workload::Gather => R::run(tasks::gather::<R>(operations)),
        Workload::Yield => R::run(tasks::yielding::<R>(operations)),
        Workload::Wake => R::run(tasks::ring::<R>(operations, 2)),
        Workload::Ring => R::run(tasks::ring::<R>(operations, 1000)),
        Workload::RemoteWake => R::run(remote::round_trips(operations)),
        Workload::StartCancel => R::run(timers::start_cancel::<R>(operations)),
        Workload::SleepMany => R::run(timers::sleep_many::<R>(operations)),
        Workload::Lateness => R::run(timers::lateness::<R>(operations)),
        Workload::CrossCall
        | Workload::CrossBatch
        | Workload::CrossBroadcast
        | Workload::Lock
        | Workload::ContendedLock
        | Workload::Semaphore
        | Workload::ContendedSemaphore
        | Workload::Queue => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "it has no such thing"))
        }
    }
}

/// Does any workload on a runtime, with what its users guard and pass things with.
pub(crate) fn run_all<R: Runtime, P: Primitives>(
    workload: Workload,
    operations: u64,
) -> io::Result<Measured> {
    sync::run::<R, P>(workload, operations)
}
