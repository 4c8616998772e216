//! The portable ring beside the kernel's: the same SQEs complete with the same results.

mod descriptors;
mod files;
mod paths;
mod streams;

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::PortableRing;
use crate::sys::setup::{Size, kernel_ring};
use crate::sys::{Completion, Ring, Submission, SubmissionFlags, Wait, WorkerLimits};

/// A ring with a directory for what a test makes.
pub(super) struct Bench {
    ring: Ring,
    directory: PathBuf,
}

impl Bench {
    fn new(ring: Ring) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("annulus-ring-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        Self { ring, directory }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Submits SQEs together, and returns their results in the same order.
    ///
    /// What they point to is valid until this returns.
    pub(super) fn run(&mut self, sqes: &[Submission]) -> Vec<i32> {
        self.start(sqes, 0);
        self.collect(sqes.len()).iter().map(|&(_, result)| result).collect()
    }

    /// Submits one SQE, and returns its result.
    pub(super) fn one(&mut self, sqe: Submission) -> i32 {
        self.run(&[sqe])[0]
    }

    /// Submits SQEs whose user data begins with `first`.
    pub(super) fn start(&mut self, sqes: &[Submission], first: u64) {
        let numbered: Vec<_> =
            (first..).zip(sqes).map(|(at, sqe)| sqe.clone().user_data(at)).collect();
        // SAFETY: the test keeps what the SQEs point to until they have completed.
        unsafe { self.ring.push_all(&numbered) }.unwrap();
        assert_eq!(self.ring.enter(Wait::No).taken, numbered.len());
    }

    /// Waits for completions, and returns user data and results in the order of user data.
    pub(super) fn collect(&mut self, count: usize) -> Vec<(u64, i32)> {
        let mut completed = Vec::new();
        loop {
            self.ring.reap(|completion: Completion| {
                let result = completion
                    .errno()
                    .map_or_else(|| completion.result().unwrap() as i32, |errno| -errno);
                completed.push((completion.user_data, result));
            });
            if completed.len() >= count {
                completed.sort_unstable();
                return completed;
            }
            let _ = self.ring.enter(Wait::Forever);
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A bench with a portable ring.
pub(super) fn portable() -> Bench {
    let limits = WorkerLimits { files: 4, others: 4 };
    Bench::new(PortableRing::new(64, limits).unwrap().into())
}

/// Runs a test on both rings, and compares what it returns. Without io_uring only the portable ring
/// runs it.
pub(super) fn on_both<T: PartialEq + Debug>(test: impl Fn(&mut Bench) -> T) {
    let result = test(&mut portable());
    match kernel_ring(Size { submissions: 64, completions: 128 }, None) {
        Ok(new) => assert_eq!(result, test(&mut Bench::new(new.ring.into()))),
        Err(error) => println!("skipped: the comparison with the kernel's ring: {error}"),
    }
}

pub(super) fn c_path(path: &Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// SQEs linked to a chain.
pub(super) fn linked<const N: usize>(sqes: [Submission; N]) -> Vec<Submission> {
    let mut chain: Vec<_> =
        sqes.into_iter().map(|sqe| sqe.flags(SubmissionFlags::IO_LINK)).collect();
    if let Some(last) = chain.pop() {
        chain.push(last.clear_flags());
    }
    chain
}
