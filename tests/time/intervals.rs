//! Intervals: on their grid, with what was missed made up for or not, and started anew.

use std::thread;
use std::time::{Duration, Instant};

use annulus::Runtime;
use annulus::time::{Interval, MissedTickBehavior, advance, interval, interval_at, now, timeout};

use crate::common::bounded::bounded;
use crate::common::conditions::poll_once;
use crate::common::panics::panic_of;
use crate::common::watchdog::run;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn paused<T>(body: impl AsyncFnOnce() -> T) -> T {
    bounded(|| Runtime::builder().start_paused(true).build().unwrap().block_on(body()))
}

#[test]
fn an_interval_ticks_on_its_grid() {
    run(async {
        let start = Instant::now() + MS;
        let mut interval = interval_at(start, 2 * MS);
        assert_eq!(interval.period(), 2 * MS);
        for _ in 0..10 {
            let due = interval.tick().await;
            assert!(due <= Instant::now(), "early");
            assert_eq!((due - start).as_nanos() % (2 * MS).as_nanos(), 0, "off the grid");
        }
    });
}

#[test]
fn an_interval_skips_missed_ticks() {
    run(async {
        let period = 10 * MS;
        let mut interval = interval(period);
        let first = interval.tick().await;
        // The first tick may be late itself, and more.
        let next_by = Instant::now() + period;
        thread::sleep(period * 7 / 2);
        // The one that is due comes at once, late; those that were missed behind it do not.
        let asked = Instant::now();
        let late = interval.tick().await;
        assert!(late > first && late <= next_by && late < asked, "{:?}", late - first);
        let next = interval.tick().await;
        assert!(next > asked, "{:?}", next - first);
        for tick in [late, next] {
            assert_eq!((tick - first).as_nanos() % period.as_nanos(), 0, "off the grid");
        }
    });
}

#[test]
fn a_dropped_tick_is_not_lost() {
    run(async {
        let start = Instant::now() + 5 * MS;
        let mut interval = interval_at(start, HOUR);
        assert!(poll_once(&mut Box::pin(interval.tick())).is_pending());
        assert_eq!(interval.tick().await, start);
    });
}

#[test]
fn an_interval_without_a_period_panics() {
    assert_eq!(panic_of(|| interval(Duration::ZERO)), "the period of an interval must not be zero");
}

// The longest period is how one says "never again"; a sleep of that length is allowed too.
#[test]
fn an_interval_may_have_the_longest_period() {
    run(async {
        let mut interval = interval(Duration::MAX);
        interval.tick().await;
        assert!(timeout(MS, interval.tick()).await.is_err());
    });
}

/// Ticks that are due at 0, 1, ... hours, of which those at 1, 2 and 3 are late: when the first of
/// them is asked for it is half past three. For each of the next five, when it was due and when it
/// came, in half hours.
async fn late(behavior: MissedTickBehavior) -> Vec<(u128, u128)> {
    let start = now();
    let mut interval = interval(HOUR);
    assert_eq!(interval.missed_tick_behavior(), MissedTickBehavior::Skip, "by default");
    interval.set_missed_tick_behavior(behavior);
    assert_eq!(interval.missed_tick_behavior(), behavior);
    interval.tick().await;
    advance(HOUR * 7 / 2).await;
    let half_hours = |time: Instant| (time - start).as_nanos() / (HOUR / 2).as_nanos();
    let mut ticks = Vec::new();
    for _ in 0..5 {
        let due = interval.tick().await;
        ticks.push((half_hours(due), half_hours(now())));
    }
    ticks
}

#[test]
fn ticks_that_were_missed_come_in_a_burst_or_delay_the_rest_or_are_skipped() {
    paused(async || {
        let burst = late(MissedTickBehavior::Burst).await;
        assert_eq!(burst, [(2, 7), (4, 7), (6, 7), (8, 8), (10, 10)]);
        let delay = late(MissedTickBehavior::Delay).await;
        assert_eq!(delay, [(2, 7), (9, 9), (11, 11), (13, 13), (15, 15)]);
        let skip = late(MissedTickBehavior::Skip).await;
        assert_eq!(skip, [(2, 7), (8, 8), (10, 10), (12, 12), (14, 14)]);
    });
}

/// A tick of the wheel is longer, and so is the way through the kernel.
#[test]
fn no_tick_of_a_period_below_that_of_the_wheel_is_missed_while_one_waits() {
    let ticks = async |period: Duration, behavior| {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(behavior);
        let first = ticks.tick().await;
        for number in 1..=1000 {
            assert_eq!(ticks.tick().await, first + period * number, "{behavior:?}");
        }
    };
    paused(async || {
        for behavior in
            [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip]
        {
            ticks(Duration::from_micros(40), behavior).await;
            ticks(Duration::from_nanos(1), behavior).await;
        }
    });
    // On a clock that goes, a machine that is busy elsewhere may miss some: but not with this.
    run(ticks(Duration::from_micros(40), MissedTickBehavior::Burst));
}

#[test]
fn the_shortest_period_is_skipped_to_the_grid_after_the_longest_delay() {
    paused(async || {
        let period = Duration::from_nanos(7);
        let mut ticks = interval(period);
        let first = ticks.tick().await;
        advance(HOUR * 10_000).await;
        assert_eq!(ticks.tick().await, first + period);
        let next = ticks.tick().await;
        assert!(next >= first + HOUR * 10_000, "more than four seconds were missed");
        assert!(next < first + HOUR * 10_000 + period * 2);
        assert_eq!((next - first).as_nanos() % period.as_nanos(), 0, "off the grid");
    });
}

#[test]
fn an_interval_that_is_reset_ticks_on_a_new_grid() {
    paused(async || {
        type Reset = fn(&mut Interval);
        let resets: [(Reset, Duration); 4] = [
            (Interval::reset, HOUR),
            (Interval::reset_immediately, Duration::ZERO),
            (|interval| interval.reset_after(HOUR / 4), HOUR / 4),
            (|interval| interval.reset_at(now() + HOUR * 3), HOUR * 3),
        ];
        for (reset, first) in resets {
            let mut ticks = interval(HOUR);
            ticks.tick().await;
            advance(HOUR / 3).await;
            // Also while one waits for a tick.
            assert!(poll_once(&mut Box::pin(ticks.tick())).is_pending());
            let from = now();
            reset(&mut ticks);
            assert_eq!(ticks.tick().await, from + first);
            assert_eq!(now(), from + first);
            assert_eq!(ticks.tick().await, from + first + HOUR);
        }
    });
}
