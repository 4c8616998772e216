//! Durations in the kernel's form.

use std::time::Duration;

use io_uring::types::Timespec;

/// A duration as the kernel takes it. What its clock cannot reach is as good as for ever.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    const DECADES: Duration = Duration::from_secs(30 * 365 * 86_400);
    Timespec::from(duration.min(DECADES))
}
