//! The clock that deadlines are measured by: the system's, or one that stands still.
//!
//! A clock that stands still is for tests. When nothing is ready and nothing has come it jumps to the
//! next deadline, so that a test of an hour takes a moment. It stays real for what is real:
//!
//! - while a closure runs on a thread it goes as the system's does, since nobody knows for how long;
//! - while operations are in flight the kernel has [`GRACE`] to complete one before each jump.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::sys::{Wait, later};

/// How long the kernel has, in real time, to complete an operation before the clock jumps.
const GRACE: Duration = Duration::from_millis(10);

pub(super) struct Clock {
    /// When it stood still.
    stopped_at: Cell<Option<Instant>>,
    /// How far it is ahead of the system's while it goes: it never goes back.
    ahead: Cell<Duration>,
    outside: Arc<AtomicUsize>,
    /// Whether something may have ended in another thread that has not been heard of here.
    is_unheard: Cell<bool>,
    /// From when on, in real time, it may jump if nothing has come.
    jumps_from: Cell<Option<Instant>>,
}

impl Clock {
    pub(super) fn new(is_stopped: bool) -> Self {
        let stopped_at = Cell::new(is_stopped.then(Instant::now));
        Self {
            stopped_at,
            ahead: Cell::default(),
            outside: Arc::default(),
            is_unheard: Cell::default(),
            jumps_from: Cell::default(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.stopped_at.get().unwrap_or_else(|| later(Instant::now(), self.ahead.get()))
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped_at.get().is_some()
    }

    pub(super) fn stop(&self) {
        self.stopped_at.set(Some(self.now()));
    }

    pub(super) fn go_on(&self) {
        if let Some(stopped_at) = self.stopped_at.take() {
            self.ahead.set(stopped_at.saturating_duration_since(Instant::now()));
        }
    }

    /// Moves a clock that stands still to a time that is to come.
    pub(super) fn jump_to(&self, time: Instant) {
        if let Some(stopped_at) = self.stopped_at.get() {
            self.stopped_at.set(Some(stopped_at.max(time)));
        }
    }

    /// How long to wait, in real time, for a deadline in `left`.
    pub(super) fn wait_for(&self, left: Duration, is_in_flight: bool) -> Wait {
        let limit = if self.is_stopped() { self.limit_stopped(left, is_in_flight) } else { left };
        if limit.is_zero() { Wait::No } else { Wait::AtMost(limit) }
    }

    fn limit_stopped(&self, left: Duration, is_in_flight: bool) -> Duration {
        let is_outside = self.outside.load(Ordering::Acquire) > 0;
        // What has ended since the loop last looked may have woken somebody: it looks once more.
        let must_look = self.is_unheard.replace(is_outside) && !is_outside;
        let limit = match (is_outside, is_in_flight) {
            (true, _) => left,
            (false, true) if !must_look => left.min(GRACE),
            (false, _) => Duration::ZERO,
        };
        self.jumps_from.set((!must_look).then(|| later(Instant::now(), limit)));
        limit
    }

    /// Whether a clock that stands still may jump, if the wait has brought nothing. A signal ends a wait
    /// before its time.
    pub(super) fn may_jump(&self) -> bool {
        self.is_stopped() && self.jumps_from.get().is_some_and(|time| Instant::now() >= time)
    }

    /// Until what this gives is dropped, something goes on in another thread.
    pub(super) fn outside(&self) -> Outside {
        self.is_unheard.set(true);
        self.outside.fetch_add(1, Ordering::Relaxed);
        Outside(Arc::clone(&self.outside))
    }
}

/// Something goes on in another thread, so that a clock which stands still must not jump over it.
pub(crate) struct Outside(Arc<AtomicUsize>);

impl Drop for Outside {
    fn drop(&mut self) {
        // Release: whom it has woken has been woken before the clock may jump.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// It has ended after the loop looked for wakes and before it asked for how long to wait.
    #[test]
    fn what_ends_in_another_thread_is_heard_before_a_jump() {
        let clock = Clock::new(true);
        drop(clock.outside());
        assert_eq!(clock.wait_for(HOUR, true), Wait::No);
        assert!(!clock.may_jump());
        assert_eq!(clock.wait_for(HOUR, false), Wait::No);
        assert!(clock.may_jump());
    }

    #[test]
    fn a_wait_that_ends_before_its_time_is_no_reason_to_jump() {
        let clock = Clock::new(true);
        let outside = clock.outside();
        assert_eq!(clock.wait_for(HOUR, false), Wait::AtMost(HOUR));
        assert!(!clock.may_jump());
        drop(outside);
    }
}
