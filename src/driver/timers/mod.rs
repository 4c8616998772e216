//! Deadlines: the timers of this thread, and the clock they are measured by.
//!
//! Timers fire in [`Driver::turn`](super::Driver::turn), which waits for the kernel no longer than
//! until the nearest of them.

mod clock;
mod tick;
mod wheel;

use std::cell::RefCell;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use clock::ExternalWork;
pub(crate) use wheel::TimerKey;

use crate::sys::Wait;
use crate::task::LocalWaker;
use clock::Clock;
use wheel::Wheel;

pub(crate) struct Timers {
    wheel: RefCell<Wheel>,
    clock: Clock,
}

impl Timers {
    pub(super) fn new(is_clock_paused: bool) -> Self {
        let clock = Clock::new(is_clock_paused);
        Self { wheel: RefCell::new(Wheel::new(clock.now())), clock }
    }

    /// Starts a timer that wakes `waker` at `deadline` or a little later, never earlier.
    #[inline]
    pub(crate) fn start(&self, deadline: Instant, waker: &Waker) -> TimerKey {
        let waker = LocalWaker::new(waker);
        self.wheel.borrow_mut().insert(deadline, waker)
    }

    /// Whether a timer has fired; if not, it will wake `waker`.
    #[inline]
    pub(crate) fn poll(&self, key: TimerKey, waker: &Waker) -> Poll<()> {
        if self.wheel.borrow().has_fired(key) {
            return Poll::Ready(());
        }
        if self.wheel.borrow().will_wake(key, waker) {
            return Poll::Pending;
        }
        // Cloning a waker is foreign code, in which the timer may fire: so look once more.
        let clone = LocalWaker::new(waker);
        if self.wheel.borrow().has_fired(key) {
            return Poll::Ready(());
        }
        let old = self.wheel.borrow_mut().replace_waker(key, clone);
        drop(old);
        Poll::Pending
    }

    /// Moves a timer, fired or not, to another deadline. One that had fired must be
    /// [polled](Self::poll) to wake anything.
    pub(crate) fn restart(&self, key: TimerKey, deadline: Instant) {
        self.wheel.borrow_mut().restart(key, deadline);
    }

    /// Removes a timer, fired or not.
    #[inline]
    pub(crate) fn stop(&self, key: TimerKey) {
        let waker = self.wheel.borrow_mut().remove(key);
        drop(waker);
    }

    /// The time that deadlines are measured by.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn is_clock_paused(&self) -> bool {
        self.clock.is_paused()
    }

    /// Stops the clock, but for jumps to the next deadline.
    pub(crate) fn pause_clock(&self) {
        self.clock.pause();
    }

    pub(crate) fn resume_clock(&self) {
        self.clock.resume();
    }

    /// Moves a paused clock.
    pub(super) fn advance_clock(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// Returns a guard; while it lives, a paused clock does not jump, because another thread is
    /// working.
    pub(crate) fn external_work(&self) -> ExternalWork {
        self.clock.external_work()
    }

    /// How long the kernel may be waited for.
    #[inline]
    pub(super) fn longest_wait(&self, is_in_flight: bool) -> Wait {
        match self.next_deadline() {
            None => Wait::Forever,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(self.now());
                self.clock.wait_for(left, is_in_flight)
            }
        }
    }

    /// When timers have to be looked at. A paused clock goes to the exact time.
    #[inline]
    fn next_deadline(&self) -> Option<Instant> {
        let wheel = self.wheel.borrow();
        if self.clock.is_paused() { wheel.next_exact_deadline() } else { wheel.next_deadline() }
    }

    /// Nothing has completed while the kernel was waited for: a paused clock jumps to the next
    /// deadline.
    #[inline]
    pub(super) fn jump(&self) {
        if self.clock.may_jump() {
            if let Some(deadline) = self.next_deadline() {
                self.clock.jump_to(deadline);
            }
        }
    }

    /// Fires at most `limit` timers.
    #[inline]
    pub(super) fn fire(&self, limit: usize, wake: impl FnMut(LocalWaker)) {
        let mut wheel = self.wheel.borrow_mut();
        if !wheel.is_empty() {
            let now = self.now();
            wheel.advance_to(now, limit);
            if self.clock.is_paused() {
                wheel.advance_exactly_to(now);
            }
            wheel.fire(limit, wake);
        }
    }

    /// How many timers are running, or have fired and were not removed.
    pub(super) fn len(&self) -> usize {
        self.wheel.borrow().len()
    }

    /// Gives memory back that was for more timers.
    pub(super) fn trim(&self) {
        self.wheel.borrow_mut().trim();
    }
}
