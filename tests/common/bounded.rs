//! A bound in time for a whole test.

use std::time::Duration;

use super::patience::limit;
use super::watchdog::Watchdog;

/// Runs `test`; aborts the process, with the test's name, if it is not over after a minute.
pub(crate) fn bounded<T>(test: impl FnOnce() -> T) -> T {
    bounded_by(limit(), test)
}

/// Runs a test that does so much that a busy machine may take a minute for it.
pub(crate) fn bounded_by<T>(limit: Duration, test: impl FnOnce() -> T) -> T {
    let _watchdog = Watchdog::new(limit);
    test()
}
