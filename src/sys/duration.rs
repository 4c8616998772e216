//! Durations that no clock can hold.

use std::time::{Duration, Instant};

use io_uring::types::Timespec;

/// As good as for ever, and within what every clock can hold.
const DECADES: Duration = Duration::from_secs(30 * 365 * 86_400);

/// A duration in the kernel's form.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec::from(duration.min(DECADES))
}

/// The instant that is `duration` after another.
pub(crate) fn later(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).unwrap_or_else(|| instant + DECADES)
}
