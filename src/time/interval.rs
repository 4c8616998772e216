//! Ticks at a fixed period.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::sleep::{Sleep, sleep_until};
use crate::runtime::context;
use crate::sys::saturating_deadline;

/// A tick that is less late than this counts as punctual: the wheel and the kernel are no more
/// precise.
const PUNCTUAL: Duration = Duration::from_millis(1);

/// Ticks every `period`, the first time immediately.
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
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(context::now(), period)
}

/// Ticks every `period`, the first time at `start`.
///
/// # Panics
///
/// If the period is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    let missed_tick_behavior = MissedTickBehavior::default();
    Interval { next: sleep_until(start), period, missed_tick_behavior }
}

/// What an [`Interval`] does about ticks that it missed.
///
/// A tick is missed if it was due while no task waited for it, or while the loop was busy. A tick
/// that is less than a millisecond late counts as punctual.
///
/// ```text
/// due:     |  1  |  2  |  3  |  4  |  5  |  6  |
/// Burst:   1     |  busy     2 3 4 5     6
/// Delay:   1     |  busy     2     3     4
/// Skip:    1     |  busy     2     5     6
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedTickBehavior {
    /// Every missed tick comes, one in each turn of the loop, until the interval has caught up.
    Burst,
    /// The next tick comes a whole period after the late one, and the following ones from there on.
    Delay,
    /// Missed ticks are dropped: the next one is the next on the old grid. The default.
    #[default]
    Skip,
}

impl MissedTickBehavior {
    /// When the next tick is due, after one that was due at `due` and is taken at `now`.
    fn after(self, due: Instant, now: Instant, period: Duration) -> Instant {
        let late = now.saturating_duration_since(due);
        if late < PUNCTUAL {
            return saturating_deadline(due, period);
        }
        match self {
            Self::Burst => saturating_deadline(due, period),
            Self::Delay => saturating_deadline(now, period),
            Self::Skip => saturating_deadline(now, period - remainder(late, period)),
        }
    }
}

/// The remainder of a duration divided by a period.
fn remainder(duration: Duration, period: Duration) -> Duration {
    const SECOND: u128 = Duration::from_secs(1).as_nanos();
    let nanos = duration.as_nanos() % period.as_nanos();
    Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
}

/// Ticks at a fixed period. Made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    /// Ends at the next tick.
    next: Sleep,
    period: Duration,
    missed_tick_behavior: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick and returns the time at which it was due.
    ///
    /// Ticks are on a fixed grid, so delays do not add up. If ticks were missed, the first of them
    /// comes at once, and the others as [`MissedTickBehavior`] says: by default they are skipped.
    ///
    /// # Panics
    ///
    /// When polled, if there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses no tick.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|context| self.poll_tick(context)).await
    }

    /// Polls for the next tick, for implementations of [`Future`] and streams.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.next).poll(context));
        let due = self.next.deadline();
        let next = self.missed_tick_behavior.after(due, context::now(), self.period);
        self.next.reset(next);
        Poll::Ready(due)
    }

    /// Moves the next tick to one period from now.
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Moves the next tick to now.
    ///
    /// The following ones come every period from now.
    pub fn reset_immediately(&mut self) {
        self.reset_after(Duration::ZERO);
    }

    /// Moves the next tick to `after` from now.
    ///
    /// The following ones come every period from then.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(saturating_deadline(context::now(), after));
    }

    /// Moves the next tick to `deadline`.
    ///
    /// The following ones come every period from then.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.next.reset(deadline);
    }

    /// How missed ticks are treated.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed_tick_behavior
    }

    /// Chooses how missed ticks are treated.
    ///
    /// By default they are [skipped](MissedTickBehavior::Skip).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use annulus::time::{MissedTickBehavior, advance, interval, now};
    ///
    /// let runtime = annulus::Runtime::builder().start_paused(true).build()?;
    /// runtime.block_on(async {
    ///     let second = Duration::from_secs(1);
    ///     let mut interval = interval(second);
    ///     interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ///     let first = interval.tick().await;
    ///     advance(3 * second).await;
    ///     for number in 1..=3 {
    ///         assert_eq!(interval.tick().await, first + number * second);
    ///         assert_eq!(now(), first + 3 * second);
    ///     }
    /// });
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed_tick_behavior = behavior;
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MissedTickBehavior::{Burst, Delay, Skip};

    /// When the next tick is due after one that was due at zero, in microseconds.
    fn after(behavior: MissedTickBehavior, late: u64, period: u64) -> u128 {
        let (due, micros) = (Instant::now(), Duration::from_micros);
        (behavior.after(due, due + micros(late), micros(period)) - due).as_micros()
    }

    #[test]
    fn a_tick_that_is_hardly_late_makes_no_other_one_missed() {
        for behavior in [Burst, Delay, Skip] {
            assert_eq!([after(behavior, 0, 40), after(behavior, 999, 40)], [40, 40]);
            assert_eq!([after(behavior, 0, 5000), after(behavior, 999, 5000)], [5000, 5000]);
        }
    }

    #[test]
    fn a_tick_that_is_late_has_the_next_one_where_the_behavior_wants_it() {
        for (late, period, [burst, delay, skip]) in [
            (1000, 40, [40, 1040, 1040]),
            (1010, 40, [40, 1050, 1040]),
            (1500, 5000, [5000, 6500, 5000]),
            (17_000, 5000, [5000, 22_000, 20_000]),
            (20_000, 5000, [5000, 25_000, 25_000]),
        ] {
            let next = [Burst, Delay, Skip].map(|behavior| after(behavior, late, period));
            assert_eq!(next, [burst, delay, skip], "{late} late of {period}");
        }
    }
}
