//! Who does what to a file, and what is counted.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

use super::{Contents, Job, Kind, Latency, Log, Report, Span};
use crate::load::{histogram, record};
use crate::os::clock::process_times;

/// A window lasts longer than it should until something is done, but no longer than this.
const LONGEST_WINDOW: Duration = Duration::from_secs(20);

/// A job that is being done. A thread of its own, which sleeps, sees to the time.
pub(super) struct Progress {
    shared: Arc<Shared>,
    watch: JoinHandle<Window>,
}

struct Shared {
    job: Job,
    contents: Contents,
    log: Arc<Log>,
    /// What this process writes into its blocks.
    stamp: u64,
    stop: AtomicBool,
    measuring: AtomicBool,
    completed: AtomicU64,
    latency: Mutex<Histogram<u64>>,
    /// Which blocks have been written.
    written: Vec<AtomicBool>,
}

/// What was used and done between the two ends of the window.
struct Window {
    operations: u64,
    syncs: u64,
    elapsed: Duration,
    user: Duration,
    system: Duration,
}

impl Progress {
    pub(super) fn begin(job: &Job) -> Self {
        // A log has no blocks, and checks itself.
        let is_log = job.kind == Kind::GroupCommit;
        let blocks = if is_log { 0 } else { job.size / job.kind.block_size() as u64 };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A file is born with zero; no measurement writes what an earlier one wrote.
        let stamp = if job.kind.reads() { 0 } else { since.as_nanos() as u64 | 1 };
        let shared = Arc::new(Shared {
            job: job.clone(),
            contents: Contents::new(),
            log: Arc::new(Log::new(stamp)),
            stamp,
            stop: AtomicBool::new(false),
            measuring: AtomicBool::new(false),
            completed: AtomicU64::new(0),
            latency: Mutex::new(histogram()),
            written: (0..blocks).map(|_| AtomicBool::new(false)).collect(),
        });
        let watched = Arc::clone(&shared);
        Self { shared, watch: thread::spawn(move || watched.watch()) }
    }

    /// As many as operations are to be under way.
    pub(super) fn workers(&self) -> Vec<Worker> {
        let depth = self.shared.job.depth;
        (0..depth).map(|number| Worker::new(Arc::clone(&self.shared), number)).collect()
    }

    /// What the workers append to, if they do.
    pub(super) fn log(&self) -> Arc<Log> {
        Arc::clone(&self.shared.log)
    }

    /// What was found. The workers must have ended.
    pub(super) fn end(self) -> io::Result<Report> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let window = self.watch.join().expect("the watch does not panic");
        let latency = self.shared.latency.lock().expect("no panic under the lock");
        if window.operations == 0 || latency.is_empty() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was done in the time"));
        }
        self.shared.check_written()?;
        let at = |quantile| Duration::from_nanos(latency.value_at_quantile(quantile));
        let max = Duration::from_nanos(latency.max());
        let latency = Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), max };
        let Window { operations, syncs, elapsed, user, system } = window;
        Ok(Report { operations, syncs, elapsed, user, system, latency })
    }
}

impl Shared {
    fn watch(&self) -> Window {
        thread::sleep(Duration::from_secs_f64(self.job.warm_up));
        self.measuring.store(true, Ordering::Relaxed);
        let (began, before) = (Instant::now(), self.completed.load(Ordering::Relaxed));
        let syncs_before = self.log.syncs();
        let (user, system) = process_times();
        thread::sleep(Duration::from_secs_f64(self.job.seconds));
        // In a short window, a slow disk may have done nothing.
        while !self.has_done_more_than(before)
            && began.elapsed() < LONGEST_WINDOW
            && !self.stop.load(Ordering::Relaxed)
        {
            thread::sleep(Duration::from_millis(1));
        }
        let operations = self.completed.load(Ordering::Relaxed) - before;
        let syncs = self.log.syncs() - syncs_before;
        let elapsed = began.elapsed();
        let (user_later, system_later) = process_times();
        self.measuring.store(false, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
        let (user, system) = (user_later - user, system_later - system);
        Window { operations, syncs, elapsed, user, system }
    }

    /// Whether more operations than `before` have completed, and the latency of one is recorded.
    fn has_done_more_than(&self, before: u64) -> bool {
        let latency = self.latency.lock().expect("no panic under the lock");
        self.completed.load(Ordering::Relaxed) > before && !latency.is_empty()
    }

    /// Reads back what was written.
    fn check_written(&self) -> io::Result<()> {
        match self.job.kind {
            Kind::GroupCommit => return self.log.check(&self.job.path),
            kind if kind.reads() => return Ok(()),
            _ => {}
        }
        let size = self.job.kind.block_size();
        let file = File::open(&self.job.path)?;
        let mut bytes = vec![0; size];
        for (place, written) in self.written.iter().enumerate() {
            if written.load(Ordering::Relaxed) {
                let offset = (place * size) as u64;
                file.read_exact_at(&mut bytes, offset)?;
                self.contents.check(offset, self.stamp, &bytes)?;
            }
        }
        Ok(())
    }
}

/// One of those who do one operation after the other.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    state: u64,
    position: u64,
}

impl Worker {
    fn new(shared: Arc<Shared>, number: usize) -> Self {
        let state = 0x2545_f491_4f6c_dd1d_u64.wrapping_mul(2 * number as u64 + 1);
        Self { shared, state, position: number as u64 }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.shared.job.kind
    }

    /// When the next operation begins: now, unless the time is up.
    pub(super) fn begin(&self) -> Option<Instant> {
        (!self.shared.stop.load(Ordering::Relaxed)).then(Instant::now)
    }

    /// The next block, unless the time is up.
    pub(crate) fn next(&mut self) -> Option<Span> {
        if self.shared.stop.load(Ordering::Relaxed) {
            return None;
        }
        let blocks = self.shared.written.len() as u64;
        let place = if self.kind().is_random() {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            (self.state >> 16) % blocks
        } else {
            let place = self.position % blocks;
            self.position += self.shared.job.depth as u64;
            place
        };
        let size = self.kind().block_size();
        Some(Span { offset: place * size as u64, size })
    }

    /// Compares what was read.
    pub(crate) fn check(&self, block: Span, bytes: &[u8]) -> io::Result<()> {
        super::whole(block, bytes.len())?;
        self.shared.contents.check(block.offset, self.shared.stamp, bytes)
    }

    /// What is to be written.
    pub(crate) fn fill(&self, block: Span, bytes: &mut [u8]) {
        self.shared.contents.fill(block.offset, self.shared.stamp, bytes);
    }

    /// An operation is done that began then.
    pub(crate) fn done(&self, block: Span, began: Instant) {
        let shared = &self.shared;
        if !self.kind().reads() {
            let place = (block.offset / block.size as u64) as usize;
            shared.written[place].store(true, Ordering::Relaxed);
        }
        self.count(began);
    }

    /// Counts an operation that is done and began then.
    pub(super) fn count(&self, began: Instant) {
        let shared = &self.shared;
        shared.completed.fetch_add(1, Ordering::Relaxed);
        if shared.measuring.load(Ordering::Relaxed) {
            let mut latency = shared.latency.lock().expect("no panic under the lock");
            record(&mut latency, began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn job(kind: Kind, blocks: u64) -> Job {
        Job {
            kind,
            path: PathBuf::from("/nowhere"),
            direct: false,
            depth: 3,
            size: blocks * kind.block_size() as u64,
            warm_up: 0.0,
            seconds: 0.01,
        }
    }

    #[test]
    fn workers_in_sequence_take_turns() {
        let progress = Progress::begin(&job(Kind::SequentialRead, 7));
        let mut workers = progress.workers();
        let size = Kind::SequentialRead.block_size() as u64;
        let mut places = Vec::new();
        for _ in 0..3 {
            places.extend(workers.iter_mut().map(|one| one.next().unwrap().offset / size));
        }
        assert_eq!(places, [0, 1, 2, 3, 4, 5, 6, 0, 1]);
    }

    #[test]
    fn random_workers_stay_within_the_file_and_go_their_own_ways() {
        let progress = Progress::begin(&job(Kind::RandomRead, 1000));
        let mut workers = progress.workers();
        let mut take = |number: usize| -> Vec<u64> {
            (0..20).map(|_| workers[number].next().unwrap().offset).collect()
        };
        let (one, other) = (take(0), take(1));
        assert!(one.iter().chain(&other).all(|offset| *offset < 1000 * 4096));
        assert_ne!(one, other);
    }

    #[test]
    fn a_job_in_which_nothing_was_done_is_an_error() {
        assert!(job(Kind::RandomRead, 10).measure(|_| Ok(())).is_err());
    }
}
