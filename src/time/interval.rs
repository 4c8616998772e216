//! Something that is due again and again.

use std::time::{Duration, Instant};

use super::sleep::sleep_until;
use crate::runtime::context;
use crate::sys::later;

/// Ticks every `period`, for the first time at once.
///
/// # Panics
///
/// If the period is zero.
///
/// # Example
///
/// ```
/// use std::time::{Duration, Instant};
///
/// annulus::run(async {
///     let start = Instant::now();
///     let mut interval = annulus::time::interval(Duration::from_millis(2));
///     for _ in 0..3 {
///         interval.tick().await;
///     }
///     assert!(start.elapsed() >= Duration::from_millis(4));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
pub fn interval(period: Duration) -> Interval {
    interval_at(context::now(), period)
}

/// Ticks every `period`, for the first time at `start`.
///
/// # Panics
///
/// If the period is zero.
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period");
    Interval { next: start, period }
}

/// Made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    next: Instant,
    period: Duration,
}

impl Interval {
    /// Waits for the next tick and gives the time at which it was due.
    ///
    /// Ticks stand on a fixed grid, so no delay adds up. Those that were missed, because nobody
    /// waited, are skipped.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no tick is lost.
    pub async fn tick(&mut self) -> Instant {
        let due = self.next;
        sleep_until(due).await;
        let late = context::now().saturating_duration_since(due);
        // Whole periods that have gone by since it was due.
        let missed = late.as_nanos() / self.period.as_nanos();
        let missed = u32::try_from(missed).unwrap_or(u32::MAX - 1);
        self.next = later(due, self.period.saturating_mul(missed + 1));
        due
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }
}
