//! The portable ring beside the kernel's: the same SQEs give the same completions.
//!
//! A scenario is a function that runs once on each ring, with sockets and files of its own. What it
//! [collects](Bench::collect) and what it returns is compared. Of a completion that is the user
//! data, the result and the flags, in the order of the user data, as the order of completions of
//! different SQEs is no promise. A new descriptor counts as zero, and whether a socket has more
//! (`SOCK_NONEMPTY`) is not compared: the kernel knows it, and this ring guesses.

mod buffers;
mod cancels;
mod chains;
mod datagrams;
mod descriptors;
mod files;
mod own;
mod paths;
mod polls;
mod readiness;
mod sockets;
mod streams;

use std::cell::OnceCell;
use std::fmt::Debug;
use std::fs;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::PortableRing;
use crate::sys::setup::{NewRing, Size, kernel_ring, portable_ring};
use crate::sys::types::Fd;
use crate::sys::{Completion, Ring, Submission, SubmissionFlags, Wait, WorkerLimits};

/// Longer than anything here takes, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

const SIZE: Size = Size { submissions: 64, completions: 256 };

const SLOTS: u32 = 4;

/// `IORING_CQE_F_SOCK_NONEMPTY`.
const NONEMPTY: u32 = 1 << 2;

/// A completion as it is compared: user data, result and flags.
type Seen = (u64, i32, u32);

/// A ring under test, and what it has completed.
struct Bench {
    ring: Ring,
    /// The completions of each step.
    seen: Vec<Vec<Seen>>,
    /// A directory for what a scenario makes, from its first path on.
    directory: OnceCell<PathBuf>,
}

fn portable() -> Bench {
    let limits = WorkerLimits { files: 4, others: 4 };
    let (mut ring, _) = portable_ring(SIZE, limits).unwrap();
    ring.make_direct_descriptors(SLOTS).unwrap();
    Bench::of(ring.into())
}

/// The kernel's ring, with this number of file slots, if there is one that has them.
fn kernel(slots: u32) -> Option<Bench> {
    let ring = kernel_ring(SIZE, None).and_then(|NewRing { mut ring, capabilities, .. }| {
        if slots > 0 {
            ring.make_direct_descriptors(slots, capabilities)?;
        }
        Ok(ring.into())
    });
    ring.map_err(|error| println!("skipped: the comparison with the kernel's ring: {error}"))
        .map(Bench::of)
        .ok()
}

/// Both rings.
fn both() -> impl Iterator<Item = Bench> {
    kernel(0).into_iter().chain([portable()])
}

/// Runs a scenario on both rings, and compares what it returns and what they have completed.
#[track_caller]
fn compare<T: PartialEq + Debug>(scenario: impl Fn(&mut Bench) -> T) {
    compare_on(both(), scenario);
}

/// Like [`compare`], on rings with file slots.
#[track_caller]
fn compare_with_slots<T: PartialEq + Debug>(scenario: impl Fn(&mut Bench) -> T) {
    compare_on(kernel(SLOTS).into_iter().chain([portable()]), scenario);
}

#[track_caller]
fn compare_on<T: PartialEq + Debug>(
    rings: impl Iterator<Item = Bench>,
    scenario: impl Fn(&mut Bench) -> T,
) {
    let mut all: Vec<_> = rings
        .map(|mut bench| {
            let returned = scenario(&mut bench);
            bench.assert_quiet();
            (returned, mem::take(&mut bench.seen))
        })
        .collect();
    let seen = all.pop();
    assert!(all.iter().all(|expected| Some(expected) == seen.as_ref()), "{all:?} and {seen:?}");
}

impl Bench {
    fn of(ring: Ring) -> Self {
        Self { ring, seen: Vec::new(), directory: OnceCell::new() }
    }

    /// The ring of a test that is of the portable ring alone.
    fn portable(&mut self) -> &mut PortableRing {
        let Ring::Portable(ring) = &mut self.ring else { unreachable!("a portable bench") };
        ring
    }

    /// The path of a file in a directory of its own, which is removed at the end.
    fn path(&self, name: &str) -> PathBuf {
        let make = || {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("annulus-ring-{}-{number}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            fs::create_dir(&directory).unwrap();
            directory
        };
        self.directory.get_or_init(make).join(name)
    }

    /// Submits SQEs together, whose user data are the numbers beside them.
    fn submit(&mut self, sqes: impl IntoIterator<Item = (u64, Submission)>) {
        let sqes: Vec<_> =
            sqes.into_iter().map(|(user_data, sqe)| sqe.user_data(user_data)).collect();
        // SAFETY: the scenarios keep what their SQEs point to until they end, after the last
        // completion.
        unsafe { self.ring.push_all(&sqes) }.unwrap();
        assert_eq!(self.ring.enter(Wait::No).taken, sqes.len());
    }

    /// Waits for `count` completions, and notes them as one step.
    #[track_caller]
    fn collect(&mut self, count: usize) -> Vec<Completion> {
        let completions = self.await_completions(count);
        self.seen.push(completions.iter().map(seen).collect());
        completions
    }

    #[track_caller]
    fn await_completions(&mut self, count: usize) -> Vec<Completion> {
        let end = Instant::now() + PATIENCE;
        let mut completions = Vec::new();
        loop {
            self.ring.reap(|completion| completions.push(completion));
            if completions.len() >= count {
                break;
            }
            assert!(Instant::now() < end, "only {completions:?} of {count}");
            self.ring.enter(Wait::AtMost(Duration::from_millis(100)));
        }
        completions.sort_by_key(|completion| completion.user_data);
        completions
    }

    /// [`collect`](Self::collect), as user data and results.
    #[track_caller]
    fn outcomes(&mut self, count: usize) -> Vec<(u64, i32)> {
        let completions = self.collect(count);
        completions.iter().map(|one| (one.user_data, one.raw_result())).collect()
    }

    /// Submits SQEs together, and returns their results in the same order. They are not noted, as
    /// some are new descriptors: the scenario returns what is to be compared.
    #[track_caller]
    fn results(&mut self, sqes: &[Submission]) -> Vec<i32> {
        self.submit((0..).zip(sqes.iter().cloned()));
        self.await_completions(sqes.len()).into_iter().map(Completion::raw_result).collect()
    }

    /// [`results`](Self::results) of one SQE.
    #[track_caller]
    fn result(&mut self, sqe: Submission) -> i32 {
        self.results(&[sqe])[0]
    }

    /// [`submit`](Self::submit), and one completion for each.
    #[track_caller]
    fn run<const N: usize>(&mut self, sqes: [(u64, Submission); N]) -> Vec<Completion> {
        self.submit(sqes);
        self.collect(N)
    }

    /// Nothing completes.
    #[track_caller]
    fn assert_quiet(&mut self) {
        let mut completions = Vec::new();
        for _ in 0..3 {
            self.ring.enter(Wait::No);
            self.ring.reap(|completion| completions.push(completion));
        }
        assert!(completions.is_empty(), "{completions:?}");
    }

    /// The result of a completion that is a new descriptor, which is noted as zero.
    fn adopt(&mut self, completion: Completion) -> OwnedFd {
        let step = self.seen.last_mut().expect("the completion was collected");
        for seen in step.iter_mut().filter(|seen| seen.0 == completion.user_data && seen.1 > 0) {
            seen.1 = 0;
        }
        // SAFETY: the callers pass completions of SQEs that make descriptors, once.
        unsafe { completion.into_fd() }.unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(directory) = self.directory.get() {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

fn seen(completion: &Completion) -> Seen {
    (completion.user_data, completion.raw_result(), completion.raw_flags() & !NONEMPTY)
}

fn fd(file: &impl AsRawFd) -> Fd {
    Fd(file.as_raw_fd())
}

fn descriptor(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the callers have just made it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// SQEs linked to a chain.
fn chain<const N: usize>(sqes: [Submission; N]) -> Vec<Submission> {
    let mut chain: Vec<_> =
        sqes.into_iter().map(|sqe| sqe.flags(SubmissionFlags::IO_LINK)).collect();
    if let Some(last) = chain.pop() {
        chain.push(last.clear_flags());
    }
    chain
}
