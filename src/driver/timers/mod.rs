//! Timers and the clock, as the driver waits for them and fires them.

use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

mod clock;
mod tick;
mod wheel;

pub(super) use clock::Clock;
use clock::Outside;
pub(crate) use wheel::TimerKey;
pub(super) use wheel::Wheel;

use super::Driver;
use crate::sys::Wait;
use crate::task::LocalWaker;

impl Driver {
    pub(in crate::driver) fn longest_wait(&self) -> Wait {
        match self.next_deadline() {
            None => Wait::Forever,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(self.now());
                self.clock.wait_for(left, self.core.borrow().attended() > 0)
            }
        }
    }

    /// When timers have to be looked at. A clock that stands still goes to the exact time.
    pub(in crate::driver) fn next_deadline(&self) -> Option<Instant> {
        let wheel = self.wheel.borrow();
        if self.clock.is_stopped() { wheel.next_exact_deadline() } else { wheel.next_deadline() }
    }

    /// Nothing has come: a clock that stands still goes on to the next deadline.
    pub(in crate::driver) fn jump(&self) {
        if let Some(deadline) = self.next_deadline() {
            self.clock.jump_to(deadline);
        }
    }

    /// Fires at most `limit` timers.
    pub(in crate::driver) fn fire_timers(&self, limit: usize) {
        let mut wheel = self.wheel.borrow_mut();
        if !wheel.is_empty() {
            let now = self.now();
            wheel.advance_to(now, limit);
            if self.clock.is_stopped() {
                wheel.advance_exactly_to(now);
            }
            let mut core = self.core.borrow_mut();
            wheel.fire(limit, |waker| core.record_wake(waker));
        }
    }

    /// The time that deadlines are measured by.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Whether the clock stands still.
    pub(crate) fn is_clock_stopped(&self) -> bool {
        self.clock.is_stopped()
    }

    /// Makes the clock stand still, but for jumps to the next deadline.
    pub(crate) fn stop_clock(&self) {
        self.clock.stop();
    }

    /// Lets the clock go on.
    pub(crate) fn start_clock(&self) {
        self.clock.go_on();
    }

    /// Moves a clock that stands still, and wakes all whose deadlines have come by that, however many.
    /// Runs foreign code.
    pub(crate) fn advance_clock(&self, duration: Duration) {
        self.clock.advance(duration);
        self.fire_timers(usize::MAX);
        self.run_aftermath();
    }

    /// Until what this gives is dropped, the clock does not jump.
    pub(crate) fn outside(&self) -> Outside {
        self.clock.outside()
    }

    /// Starts a timer that wakes `waker` at `deadline` or a little later, never earlier.
    pub(crate) fn start_timer(&self, deadline: Instant, waker: &Waker) -> TimerKey {
        let waker = LocalWaker::new(waker);
        self.wheel.borrow_mut().insert(deadline, waker)
    }

    /// Whether a timer has fired; if not, it will wake `waker`.
    pub(crate) fn poll_timer(&self, key: TimerKey, waker: &Waker) -> Poll<()> {
        if self.wheel.borrow().has_fired(key) {
            return Poll::Ready(());
        }
        if self.wheel.borrow().will_wake(key, waker) {
            return Poll::Pending;
        }
        // Foreign code, which may have had the timer fire: so look once more.
        let fresh = LocalWaker::new(waker);
        if self.wheel.borrow().has_fired(key) {
            return Poll::Ready(());
        }
        let old = self.wheel.borrow_mut().replace_waker(key, fresh);
        drop(old);
        Poll::Pending
    }

    /// Moves a timer, fired or not, to another deadline. Who waits for one that had fired must
    /// [poll](Self::poll_timer) it.
    pub(crate) fn restart_timer(&self, key: TimerKey, deadline: Instant) {
        self.wheel.borrow_mut().restart(key, deadline);
    }

    /// Removes a timer, fired or not. Nothing of it is left.
    pub(crate) fn stop_timer(&self, key: TimerKey) {
        let waker = self.wheel.borrow_mut().remove(key);
        drop(waker);
    }
}
