//! Counting this process's open descriptors.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::bounded::bounded;
use super::patience::limit;

/// Held by every test of a file that counts, since the tests of a file share a process.
///
/// What the test before has left to other threads to close, as a pool or a peer's thread, is closed
/// by then: else it would be counted at first and not at last, and a wait for an exact number would
/// have no end.
#[track_caller]
pub(crate) fn alone() -> MutexGuard<'static, Option<usize>> {
    /// How many are open while no test runs.
    static ALONE: Mutex<Option<usize>> = Mutex::new(None);
    let mut between_tests = ALONE.lock().unwrap_or_else(|poisoned| {
        // A test that failed may have left some, which says nothing about the next one.
        ALONE.clear_poison();
        let mut between_tests = PoisonError::into_inner(poisoned);
        *between_tests = None;
        between_tests
    });
    assert_back_to(*between_tests.get_or_insert_with(open));
    between_tests
}

/// Runs a test that counts: beside no other one, and bounded in time.
pub(crate) fn counting<T>(test: impl FnOnce() -> T) -> T {
    let _alone = alone();
    bounded(test)
}

/// How many descriptors are open.
pub(crate) fn open() -> usize {
    // The directory's own descriptor is among those that it lists.
    listed() - 1
}

fn listed() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc is there").count()
}

/// Waits until no more descriptors are open than there were `before`. They may take a moment where
/// another thread, or the kernel, closes the last of them; so did those of the test before,
/// perhaps, of which some may have been counted. In a task it would keep the loop from closing any:
/// a task waits until [`open`] says so.
#[track_caller]
pub(crate) fn assert_back_to(before: usize) {
    let deadline = Instant::now() + limit();
    while open() > before {
        assert!(Instant::now() < deadline, "{} descriptors, but {before} before", open());
        std::thread::yield_now();
    }
}
