//! A run: starts everything, looks at it from time to time, ends it, and decides.

use std::fs;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use annulus::buf::RegisteredBuffers;
use annulus::shards::{Shard, ShardOutcome};
use annulus::signal::{SignalKind, signal};
use annulus::time::{sleep, timeout};
use annulus::{Builder, Incident, Metrics, Shards, metrics};

use crate::chance::Chance;
use crate::options::{Break, Options};
use crate::sample::{self, Descriptors, Sample};
use crate::services::{self, Sockets};
use crate::site::{Shared, Site, unix_path};
use crate::tally::Tallies;
use crate::workloads::WORKLOADS;
use crate::{places, rounds, verdict};

/// At the end, tasks that still take steps are waited for, at most this many times the limit of a step.
const MOST_LIMITS: u32 = 20;

/// A place that was not left for so long is printed while the run waits for its end.
const LONG: Duration = Duration::from_secs(10);

/// Returns what failed.
pub(crate) fn run(options: &Options) -> io::Result<Vec<String>> {
    let directory = options.directory.join(format!("annulus-soak-{}", process::id()));
    fs::create_dir(&directory)?;
    let outcome = run_in(options, &directory);
    let removed = fs::remove_dir_all(&directory);
    let failures = outcome?;
    removed?;
    Ok(failures)
}

fn run_in(options: &Options, directory: &Path) -> io::Result<Vec<String>> {
    println!("seed {}, {} shards, {:?}", options.seed, options.shards, options.length);
    warm_up(options.shards)?;
    let descriptors = Descriptors::now()?;

    let sockets: Vec<Sockets> = (0..options.shards)
        .map(|shard| {
            let tcp = TcpListener::bind("127.0.0.1:0")?;
            let unix = UnixListener::bind(unix_path(directory, shard))?;
            Ok((tcp, unix, UdpSocket::bind("127.0.0.1:0")?))
        })
        .collect::<io::Result<_>>()?;
    let shared = Arc::new(Shared {
        tallies: Tallies::new(WORKLOADS.len()),
        is_over: AtomicBool::new(false),
        breaks_byte: AtomicBool::new(options.breaks == Some(Break::Byte)),
        running: AtomicUsize::new(options.shards),
        directory: directory.to_owned(),
        tcp: sockets.iter().map(|(tcp, ..)| tcp.local_addr()).collect::<io::Result<_>>()?,
        udp: sockets.iter().map(|(.., udp)| udp.local_addr()).collect::<io::Result<_>>()?,
    });
    let sockets: Vec<_> = sockets.into_iter().map(|pair| Mutex::new(Some(pair))).collect();

    let incidents = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&incidents);
    let runtime = move |_| {
        let hook = Arc::clone(&hook);
        Builder::new().direct_descriptors(256).on_incident(move |incident: &Incident| {
            eprintln!("INCIDENT {incident}");
            // Memory that cannot be locked is no failure: the buffers work all the same.
            if !matches!(incident, Incident::BuffersNotRegistered { .. }) {
                hook.lock().expect("no thread panics with it").push(incident.to_string());
            }
        })
    };
    let ends = {
        let shards = Shards::builder().count(options.shards).runtime(runtime);
        let (options, shared) = (options.clone(), Arc::clone(&shared));
        let main = async move |shard: Shard| {
            let sockets = sockets[shard.index()].lock().expect("no thread panics with it").take();
            on_shard(shard, &options, &shared, sockets.expect("each shard takes its own")).await
        };
        shards.run(main).map_err(io::Error::other)?
    };

    let mut failures = shared.tallies.failures.lock().expect("no thread panics with it").clone();
    failures.append(&mut incidents.lock().expect("no thread panics with it"));
    for end in ends {
        let end = end?;
        failures.extend(end.failures);
        if let Some(samples) = end.samples {
            match verdict::memory(&samples) {
                Ok(text) => println!("memory: {text}"),
                Err(text) => failures.push(format!("memory grows: {text}")),
            }
        }
    }
    failures.extend(left_behind(&descriptors, options.settle)?);
    table(&shared.tallies, options);
    for failure in &failures {
        println!("FAILED {failure}");
    }
    println!("{}", if failures.is_empty() { "passed" } else { "FAILED" });
    Ok(failures)
}

/// Uses once what the process keeps for its life, so that it does not count as left behind.
fn warm_up(shards: usize) -> io::Result<()> {
    let main = async |_| {
        annulus::blocking::to_thread(|| ()).await?;
        // What listeners of signals use, for as many as there are at the same time.
        let listeners = (0..64).map(|_| signal(SignalKind::user_defined1()));
        listeners.collect::<io::Result<Vec<_>>>().map(drop)
    };
    let outcomes = Shards::builder().count(shards).run(main).map_err(io::Error::other)?;
    outcomes.into_iter().collect()
}

/// What the process still holds after the end of the runtimes.
fn left_behind(before: &Descriptors, limit: Duration) -> io::Result<Vec<String>> {
    let mut failures = Vec::new();
    let begun = Instant::now();
    // The kernel closes what a ring has held, and threads for blocking calls end, a moment later.
    while Descriptors::now()?.count() > before.count() && begun.elapsed() < limit {
        thread::sleep(Duration::from_millis(20));
    }
    let after = Descriptors::now()?;
    let (descriptors, now) = (before.count(), after.count());
    if now > descriptors {
        let more = after.beyond(before).join("\n    ");
        let text = format!("{now} descriptors are open instead of {descriptors}:\n    {more}");
        failures.push(text);
    }
    let children = sample::children()?;
    if !children.is_empty() {
        failures.push(format!("child processes are left: {}", children.join(" ")));
    }
    println!("descriptors: {descriptors} before, {now} after; children: {}", children.len());
    Ok(failures)
}

/// What a shard has to say at its end.
struct End {
    failures: Vec<String>,
    /// Those of the first shard.
    samples: Option<Vec<Sample>>,
}

impl ShardOutcome for End {}

async fn on_shard(
    shard: Shard,
    options: &Options,
    shared: &Arc<Shared>,
    sockets: Sockets,
) -> io::Result<End> {
    let chance = Chance::of_shard(options.seed, shard.index());
    // From its first wait on, the runtime listens to its bell, which is one operation.
    while metrics().in_kernel == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let before = metrics();
    println!("shard {}: the ring is {:?}", shard.index(), before.ring);
    let site = Rc::new(Site::new(&shard, shared, RegisteredBuffers::new(32, 16 * 1024)?));
    let services = services::start(&site, sockets, &chance);
    let run = Rc::new(options.clone());
    match options.breaks.filter(|_| shard.index() == 0) {
        Some(Break::Task) => drop(site.spawn("--break", std::future::pending::<()>())),
        Some(Break::Descriptor) => std::mem::forget(fs::File::open("/dev/null")?),
        Some(Break::Byte) | None => {}
    }

    let mut runners = Vec::new();
    for &index in &options.only {
        let at_once = match options.round {
            None => WORKLOADS[index].at_once,
            // One round, on the first shard.
            Some(_) => usize::from(shard.index() == 0),
        };
        for _ in 0..at_once {
            let chance = chance.fork_as(WORKLOADS[index].name);
            let whose = chance.whose().to_owned();
            let rounds = rounds::run(Rc::clone(&site), index, chance, Rc::clone(&run));
            runners.push(site.spawn(&whose, rounds));
        }
    }

    let samples = if shard.index() == 0 && options.round.is_none() {
        Some(watch(&shard, options, shared).await?)
    } else {
        None
    };
    let mut failures = Vec::new();
    for mut runner in runners {
        let ended = loop {
            match timeout(options.every, &mut runner).await {
                Ok(ended) => break ended,
                Err(_) if shared.is_over.load(Relaxed) => {
                    println!("shard {}: waits for {}", shard.index(), running(&shared.tallies));
                    for place in places::older_than(options.every.max(LONG)) {
                        println!("    {place}");
                    }
                }
                Err(_) => {}
            }
        };
        failures.extend(ended.err().map(|error| error.to_string()));
    }
    // The services of a shard are there until no client of any shard is.
    shared.running.fetch_sub(1, Relaxed);
    while shared.running.load(Relaxed) > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    failures.extend(services.stop().await);
    drop(site);
    failures.extend(settle(&shard, &before, shared, options.settle).await);
    Ok(End { failures, samples })
}

/// Prints a line from time to time, until the run is over.
async fn watch(shard: &Shard, options: &Options, shared: &Arc<Shared>) -> io::Result<Vec<Sample>> {
    let begun = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    while begun.elapsed() < options.length {
        sleep(options.every.min(options.length.saturating_sub(begun.elapsed()))).await;
        let each = shard.run_on_all(|_| metrics()).await?;
        let tallies = &shared.tallies;
        let sample = Sample {
            at: begun.elapsed(),
            resident: sample::resident()?,
            descriptors: Descriptors::now()?.count(),
            threads: sample::threads()?,
            tasks: tallies.tasks.load(Relaxed),
            metrics: each.into_iter().sum(),
            operations: tallies.sum(|tally| &tally.operations),
            bytes: tallies.sum(|tally| &tally.bytes),
            failures: tallies.sum(|tally| &tally.failures),
        };
        println!("{}", sample.line(samples.last()));
        samples.push(sample);
    }
    shared.is_over.store(true, Relaxed);
    Ok(samples)
}

/// Waits until this runtime holds no more than before all, and returns what it holds for too long.
async fn settle(shard: &Shard, before: &Metrics, shared: &Shared, limit: Duration) -> Vec<String> {
    let held = || {
        let tasks = shared.tallies.tasks.load(Relaxed);
        match verdict::held(before, &metrics()) {
            held if tasks > 0 => Some(format!("{tasks} tasks have not ended; {held:?}")),
            held => held,
        }
    };
    let state = || (shared.tallies.tasks.load(Relaxed), places::latest());
    let begun = Instant::now();
    let (mut last, mut changed) = (state(), begun);
    // The timer of the sleep has fired and is not one of those that are counted.
    while held().is_some() && changed.elapsed() < limit && begun.elapsed() < MOST_LIMITS * limit {
        sleep(Duration::from_millis(5)).await;
        let now = state();
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    let held = held().map(|held| {
        let places = places::older_than(Duration::ZERO).join("\n    ");
        format!("shard {}: {held}; what is left of this shard:\n    {places}", shard.index())
    });
    held.into_iter().collect()
}

/// The rounds that run, of all shards.
fn running(tallies: &Tallies) -> String {
    let running = WORKLOADS.iter().zip(&tallies.of).filter_map(|(workload, tally)| {
        let count = tally.running.load(Relaxed);
        (count > 0).then(|| format!("{count} of {}", workload.name))
    });
    running.collect::<Vec<_>>().join(", ")
}

/// What each workload has done.
fn table(tallies: &Tallies, options: &Options) {
    println!(
        "{:<16} {:>9} {:>12} {:>12} {:>9}",
        "workload", "rounds", "operations", "MiB", "failures"
    );
    for &index in &options.only {
        let tally = &tallies.of[index];
        println!(
            "{:<16} {:>9} {:>12} {:>12.1} {:>9}",
            WORKLOADS[index].name,
            tally.rounds.load(Relaxed),
            tally.operations.load(Relaxed),
            sample::mib(tally.bytes.load(Relaxed)),
            tally.failures.load(Relaxed),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::options::{self, Request};

    /// One test, as each run counts the descriptors of the process.
    #[test]
    fn a_left_task_a_left_descriptor_and_a_changed_byte_each_fail_a_run_and_nothing_else_does() {
        let run = |breaks, only, settle| {
            let arguments = format!("0.003 --only {only} --every 0.1 --seed 1");
            let arguments = arguments.split(' ').map(OsString::from);
            let Ok(Request::Run(options)) = options::parse(arguments) else {
                panic!("it is valid")
            };
            super::run(&Options { breaks, settle, ..options }).unwrap()
        };
        let (short, long) = (Duration::from_millis(100), Duration::from_secs(300));
        assert_eq!(run(None, "timers", long), Vec::<String>::new());
        let fails = |breaks, only, settle, text: &str| {
            let failures = run(Some(breaks), only, settle);
            assert!(failures.iter().any(|failure| failure.contains(text)), "{failures:?}");
        };
        fails(Break::Task, "timers", short, "task of --break");
        fails(Break::Descriptor, "timers", short, "/dev/null");
        // Rounds of messages take seconds to end, which this run does not wait for.
        fails(Break::Byte, "echo-messages", short, "corruption: echo of a message");
    }
}
