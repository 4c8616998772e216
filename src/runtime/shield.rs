//! Work that the end of a runtime waits for, within a bound.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::context::{self, Shared};
use crate::error::Incident;
use crate::sys::saturating_deadline;

/// Until it is dropped, the end of its runtime waits, within a bound.
pub(crate) struct ShieldGuard(Rc<Cell<usize>>);

/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub(crate) fn shield_guard() -> ShieldGuard {
    let count = Rc::clone(&context::current().shielded);
    count.set(count.get() + 1);
    ShieldGuard(count)
}

impl Drop for ShieldGuard {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Shared {
    /// Lets the loop go on until the shielded work is done, or for the bound. What is not done then is
    /// reported, and ends with the other tasks.
    pub(super) fn finish_shielded(&self, can_run: bool) {
        if can_run {
            // However slow the machine is, and however short the limit: what is ready is not cut
            // without having been polled.
            self.run_each_ready(|| self.shielded.get() == 0);
            self.run_within(self.shield_timeout, || self.shielded.get() == 0);
        }
        match self.shielded.get() {
            0 => {}
            count => (self.driver.incidents())(&Incident::ShieldedWorkLost { count }),
        }
    }

    /// Lets the loop go on until it is over, or for a limit. No other loop may be running.
    pub(super) fn run_within(&self, limit: Duration, is_over: impl Fn() -> bool) {
        if is_over() {
            return;
        }
        let deadline = saturating_deadline(self.driver.timers().now(), limit);
        let timer = self.driver.timers().start(deadline, Waker::noop());
        self.run_until(|| is_over() || self.driver.timers().now() >= deadline);
        self.driver.timers().stop(timer);
    }
}
