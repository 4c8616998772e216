//! The portable ring beside the kernel's: the same SQEs give the same completions.
//!
//! A scenario is a function that runs once on each ring, with sockets of its own. What it collects
//! is compared: user data, results and flags, in the order of the user data, as the order of
//! completions of different SQEs is no promise. A new descriptor counts as zero, and whether a
//! socket has more (`SOCK_NONEMPTY`) is not compared: the kernel knows it, and this ring guesses.

mod buffers;
mod cancels;
mod chains;
mod datagrams;
mod files;
mod own;
mod polls;
mod sockets;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::sys::setup::{Size, kernel_ring, portable_ring};
use crate::sys::types::Fd;
use crate::sys::{Completion, Ring, Submission, Wait, WorkerLimits};

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
}

fn portable() -> Bench {
    let limits = WorkerLimits { files: 4, others: 4 };
    let (mut ring, _) = portable_ring(SIZE, limits).unwrap();
    ring.make_direct_descriptors(SLOTS).unwrap();
    Bench { ring: ring.into(), seen: Vec::new() }
}

/// The kernel's ring, where there is io_uring.
fn kernel() -> Option<Bench> {
    match kernel_ring(SIZE, None) {
        Ok(mut new) => {
            new.ring.make_direct_descriptors(SLOTS, new.capabilities).unwrap();
            Some(Bench { ring: new.ring.into(), seen: Vec::new() })
        }
        Err(error) => {
            println!("skipped: the comparison with the kernel's ring: {error}");
            None
        }
    }
}

/// Both rings.
fn both() -> impl Iterator<Item = Bench> {
    kernel().into_iter().chain([portable()])
}

/// Runs a scenario on both rings, and compares what they have completed.
#[track_caller]
fn compare(scenario: impl Fn(&mut Bench)) {
    let mut all: Vec<_> = both()
        .map(|mut bench| {
            scenario(&mut bench);
            bench.assert_quiet();
            bench.seen
        })
        .collect();
    let seen = all.pop();
    assert!(all.iter().all(|expected| Some(expected) == seen.as_ref()), "{all:?} and {seen:?}");
}

impl Bench {
    /// Submits SQEs together, whose user data are the numbers beside them.
    fn submit<const N: usize>(&mut self, sqes: [(u64, Submission); N]) {
        let sqes = sqes.map(|(user_data, sqe)| sqe.user_data(user_data));
        // SAFETY: the scenarios keep what their SQEs point to until they end, after the last
        // completion.
        unsafe { self.ring.push_all(&sqes) }.unwrap();
        self.ring.enter(Wait::No);
    }

    /// Waits for `count` completions, and notes them as one step.
    #[track_caller]
    fn collect(&mut self, count: usize) -> Vec<Completion> {
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
        self.seen.push(completions.iter().map(seen).collect());
        completions
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
