//! A bound in time for a whole test.

use super::patience::limit;
use super::watchdog::Watchdog;

/// Runs `test`; aborts the process, with the test's name, if it is not over after a minute.
pub(crate) fn bounded<T>(test: impl FnOnce() -> T) -> T {
    let _watchdog = Watchdog::new(limit());
    test()
}
