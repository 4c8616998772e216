//! The clock that deadlines are measured by: the system's, or a paused one.
//!
//! A paused clock is for tests. When no task is ready and nothing has completed, it jumps to the
//! next deadline, so that a test of an hour takes a moment. (A deadline so far away that it means
//! "never" is none.) Time still advances normally while a closure runs on another thread, as it is
//! not known how long that takes; and while operations are in flight, the kernel has [`GRACE`] to
//! complete one before each jump.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::sys::{Wait, saturating_deadline};

/// How long the kernel has, in real time, to complete an operation before the clock jumps.
const GRACE: Duration = Duration::from_millis(10);

/// The farthest that the clock is moved at once: practically for ever, and many times over before
/// it reaches deadlines that mean "never".
const MILLENNIUM: Duration = Duration::from_secs(1000 * 365 * 86_400);

pub(super) struct Clock {
    /// What it showed when it was last paused, resumed or moved.
    shown: Cell<Instant>,
    /// What the system's clock showed then.
    real: Cell<Instant>,
    pace: Cell<Pace>,
    outside: Arc<AtomicUsize>,
    /// Whether something may have ended in another thread that has not been reaped here.
    is_unreaped: Cell<bool>,
    /// From when on, in real time, it may jump if no completion has come.
    jumps_from: Cell<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// It shows what the system's clock does: it was never paused.
    Real,
    /// It advances from what it showed last.
    Shifted,
    Paused,
}

impl Clock {
    pub(super) fn new(is_paused: bool) -> Self {
        let now = Instant::now();
        Self {
            shown: Cell::new(now),
            real: Cell::new(now),
            pace: Cell::new(if is_paused { Pace::Paused } else { Pace::Real }),
            outside: Arc::default(),
            is_unreaped: Cell::default(),
            jumps_from: Cell::default(),
        }
    }

    #[inline]
    pub(super) fn now(&self) -> Instant {
        match self.pace.get() {
            Pace::Real => Instant::now(),
            Pace::Shifted => saturating_deadline(self.shown.get(), self.real.get().elapsed()),
            Pace::Paused => self.shown.get(),
        }
    }

    #[inline]
    pub(super) fn is_paused(&self) -> bool {
        self.pace.get() == Pace::Paused
    }

    pub(super) fn pause(&self) {
        self.shown.set(self.now());
        self.pace.set(Pace::Paused);
    }

    /// Advances from what it shows.
    pub(super) fn resume(&self) {
        if self.is_paused() {
            self.real.set(Instant::now());
            self.pace.set(Pace::Shifted);
        }
    }

    /// Moves a paused clock forward to a time.
    pub(super) fn jump_to(&self, time: Instant) {
        if self.is_paused() {
            self.shown.set(self.shown.get().max(time));
        }
    }

    /// Moves a paused clock forward, however far.
    pub(super) fn advance(&self, duration: Duration) {
        self.jump_to(saturating_deadline(self.now(), duration.min(MILLENNIUM)));
    }

    /// How long to wait, in real time, for a deadline in `left`.
    #[inline]
    pub(super) fn wait_for(&self, left: Duration, is_in_flight: bool) -> Wait {
        let limit = if self.is_paused() { self.limit_paused(left, is_in_flight) } else { left };
        if limit.is_zero() { Wait::No } else { Wait::AtMost(limit) }
    }

    fn limit_paused(&self, left: Duration, is_in_flight: bool) -> Duration {
        let is_outside = self.outside.load(Ordering::Acquire) > 0;
        // What has ended since the loop last looked may have woken a task: it looks once more.
        let must_look = self.is_unreaped.replace(is_outside) && !is_outside;
        let limit = match (is_outside, is_in_flight) {
            (true, _) => left,
            (false, true) if !must_look => left.min(GRACE),
            (false, _) => Duration::ZERO,
        };
        self.jumps_from.set((!must_look).then(|| saturating_deadline(Instant::now(), limit)));
        limit
    }

    /// Whether a paused clock may jump, if nothing has completed. A signal ends a wait before its
    /// time.
    #[inline]
    pub(super) fn may_jump(&self) -> bool {
        self.is_paused() && self.jumps_from.get().is_some_and(|time| Instant::now() >= time)
    }

    /// Returns a guard; while it lives, a paused clock does not jump, because another thread is
    /// working.
    pub(super) fn external_work(&self) -> ExternalWork {
        self.is_unreaped.set(true);
        self.outside.fetch_add(1, Ordering::Relaxed);
        ExternalWork(Arc::clone(&self.outside))
    }
}

/// Another thread is working, so that a paused clock must not jump.
pub(crate) struct ExternalWork(Arc<AtomicUsize>);

impl Drop for ExternalWork {
    fn drop(&mut self) {
        // Release: the tasks it has woken have been woken before the clock may jump.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_that_goes_shows_the_systems_time() {
        let clock = Clock::new(false);
        let before = Instant::now();
        let shown = clock.now();
        assert!(before <= shown && shown <= Instant::now());
    }

    #[test]
    fn a_resumed_clock_continues_from_where_it_was_paused() {
        let clock = Clock::new(true);
        for hours in 0..4 {
            let paused_at = clock.now();
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(clock.now(), paused_at);
            let started = Instant::now();
            clock.resume();
            clock.resume();
            let gone = clock.now() - paused_at;
            assert!(gone <= started.elapsed(), "the clock jumped by {gone:?}");
            clock.pause();
            clock.pause();
            let stopped = clock.now();
            clock.jump_to(paused_at);
            assert_eq!(clock.now(), stopped, "a clock never goes back");
            clock.advance(HOUR * hours);
            assert_eq!(clock.now(), stopped + HOUR * hours);
        }
    }

    /// It has ended after the loop looked for wakes and before it asked for how long to wait.
    #[test]
    fn what_ends_in_another_thread_is_heard_before_a_jump() {
        let clock = Clock::new(true);
        drop(clock.external_work());
        assert_eq!(clock.wait_for(HOUR, true), Wait::No);
        assert!(!clock.may_jump());
        assert_eq!(clock.wait_for(HOUR, false), Wait::No);
        assert!(clock.may_jump());
    }

    #[test]
    fn a_wait_that_ends_before_its_time_is_no_reason_to_jump() {
        let clock = Clock::new(true);
        let outside = clock.external_work();
        assert_eq!(clock.wait_for(HOUR, false), Wait::AtMost(HOUR));
        assert!(!clock.may_jump());
        drop(outside);
    }
}
