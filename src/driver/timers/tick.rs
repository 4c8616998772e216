//! Points in time as the wheel counts them: in ticks of about 65 µs from its start.

use std::time::Duration;

/// A tick is 2^16 nanoseconds.
const BITS: u32 = 16;

/// A number of ticks since the wheel's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(pub(super) u64);

/// What becomes of a part of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// For deadlines: no timer fires early.
    Up,
    /// For the present: a deadline fires only once it has passed.
    Down,
}

impl Tick {
    /// What no clock reaches, some nine million years from the start. Deadlines from here on mean
    /// "never", and the present is always below. Two bits are left for sums.
    pub(super) const NEVER: Self = Self(1 << 62);

    /// The tick at which a time from the start on has passed, or the last one that it has reached.
    #[inline]
    pub(super) fn new(elapsed: Duration, rounding: Rounding) -> Self {
        let nanos = elapsed.as_nanos();
        let (ticks, most) = match rounding {
            Rounding::Up => (nanos.div_ceil(1 << BITS), Self::NEVER.0),
            Rounding::Down => (nanos >> BITS, Self::NEVER.0 - 1),
        };
        Self(u64::try_from(ticks).unwrap_or(most).min(most))
    }

    /// The time from the start to this.
    pub(super) fn elapsed(self) -> Duration {
        const SECOND: u128 = Duration::from_secs(1).as_nanos();
        match self.0.checked_mul(1 << BITS) {
            Some(nanos) => Duration::from_nanos(nanos),
            // Centuries, where a division more is no loss.
            None => {
                let nanos = u128::from(self.0) << BITS;
                Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
            }
        }
    }
}

/// When a timer is due: in the order of the exact times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    pub(super) tick: Tick,
    /// How far into the span that ends with the tick it is.
    pub(super) within: u16,
}

impl Deadline {
    #[inline]
    pub(super) fn new(elapsed: Duration) -> Self {
        // The span is open at its start and closed at its end, as the tick is rounded up.
        let within = elapsed.as_nanos().wrapping_sub(1) as u16;
        Self { tick: Tick::new(elapsed, Rounding::Up), within }
    }

    /// The exact time from the start to this.
    pub(super) fn elapsed(self) -> Duration {
        match self.tick.0.checked_sub(1) {
            None => Duration::ZERO,
            Some(before) => {
                Tick(before).elapsed() + Duration::from_nanos(u64::from(self.within) + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 1 << BITS;
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

    #[test]
    fn a_deadline_is_rounded_up_and_the_present_down() {
        for (nanos, up, down) in [(0, 0, 0), (1, 1, 0), (TICK, 1, 1), (TICK + 1, 2, 1)] {
            let elapsed = Duration::from_nanos(nanos);
            assert_eq!(Tick::new(elapsed, Rounding::Up), Tick(up), "{nanos} up");
            assert_eq!(Tick::new(elapsed, Rounding::Down), Tick(down), "{nanos} down");
        }
    }

    #[test]
    fn the_present_reaches_every_deadline_but_those_that_stand_for_never() {
        for centuries in [0, 1, 2, 5, 6, 1000, 90_000] {
            let elapsed = CENTURY * centuries;
            let due = Tick::new(elapsed, Rounding::Up);
            assert!(due < Tick::NEVER);
            assert!(due.elapsed() >= elapsed && due.elapsed() - elapsed < Tick(1).elapsed());
            assert_eq!(Tick::new(due.elapsed(), Rounding::Down), due);
        }
        for never in [CENTURY * 100_000, Duration::MAX] {
            assert_eq!(Tick::new(never, Rounding::Up), Tick::NEVER);
            assert!(Tick::new(never, Rounding::Down) < Tick::NEVER);
        }
    }

    #[test]
    fn deadlines_have_the_order_of_their_times() {
        let near =
            [0, 1, 2, TICK - 1, TICK, TICK + 1, 2 * TICK, 2 * TICK + 1].map(Duration::from_nanos);
        for far in [Duration::ZERO, CENTURY * 7] {
            let deadlines = near.map(|near| Deadline::new(far + near));
            assert!(deadlines.is_sorted() && deadlines[0] < deadlines[7], "{deadlines:?}");
            assert!(deadlines.windows(2).all(|pair| pair[0] != pair[1]));
            assert_eq!(deadlines.map(Deadline::elapsed), near.map(|near| far + near));
        }
    }
}
