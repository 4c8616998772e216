//! Durations as the kernel takes them, and sums that no clock can hold.
//!
//! The kernel counts in coarser units than a [`Duration`] does, and zero often means something else
//! to it than "at once" (no limit, a reset, the default). So everything here rounds up, and
//! saturates: a wait is never shorter than asked for, and one that is not zero never becomes zero.

use std::time::{Duration, Instant};

use io_uring::types::Timespec;

/// The longest that the kernel is asked to wait: as good as for ever.
const DECADES: Duration = Duration::from_secs(30 * 365 * 86_400);

/// No clock comes so far, but it can hold the sum with the present.
const AGES: Duration = Duration::from_secs(1 << 62);

/// A duration in the kernel's form.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec::from(duration.min(DECADES))
}

/// Whole microseconds, rounded up.
pub(crate) fn micros(duration: Duration) -> u32 {
    units(duration, Duration::from_micros(1))
}

/// Whole milliseconds, rounded up.
pub(crate) fn millis(duration: Duration) -> u32 {
    units(duration, Duration::from_millis(1))
}

/// Whole seconds, rounded up; at most what an `i32` holds, which is the form of socket options.
pub(crate) fn seconds(duration: Duration) -> i32 {
    i32::try_from(units(duration, Duration::from_secs(1))).unwrap_or(i32::MAX)
}

fn units(duration: Duration, unit: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(unit.as_nanos())).unwrap_or(u32::MAX)
}

/// The instant that is `duration` after another. If no clock can hold it, it is one that stands for
/// "never": so far away that none comes there.
pub(crate) fn saturating_deadline(instant: Instant, duration: Duration) -> Instant {
    let sum = instant.checked_add(duration).or_else(|| instant.checked_add(AGES));
    // What is ages away already stands for "never" itself.
    sum.unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_units_are_rounded_up_and_saturate() {
        for (duration, in_micros, in_millis, in_seconds) in [
            (Duration::ZERO, 0, 0, 0),
            (Duration::from_nanos(1), 1, 1, 1),
            (Duration::from_micros(1), 1, 1, 1),
            (Duration::from_nanos(1_000_001), 1_001, 2, 1),
            (Duration::from_secs(2), 2_000_000, 2_000, 2),
            (Duration::from_millis(2_001), 2_001_000, 2_001, 3),
            (Duration::MAX, u32::MAX, u32::MAX, i32::MAX),
        ] {
            let rounded = (micros(duration), millis(duration), seconds(duration));
            assert_eq!(rounded, (in_micros, in_millis, in_seconds), "{duration:?}");
        }
    }

    #[test]
    fn a_sum_that_no_clock_can_hold_is_ages_away_and_never_panics() {
        let now = Instant::now();
        assert_eq!(saturating_deadline(now, Duration::from_secs(1)), now + Duration::from_secs(1));
        let mut farthest = saturating_deadline(now, Duration::MAX);
        assert_eq!(farthest, now + AGES);
        // As far as the clock goes: half of what is left, again and again.
        let mut step = Duration::MAX;
        while !step.is_zero() {
            farthest = farthest.checked_add(step).unwrap_or(farthest);
            step /= 2;
        }
        assert_eq!(saturating_deadline(farthest, Duration::MAX), farthest);
    }
}
