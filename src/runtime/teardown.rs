//! The end of a runtime.

use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::context::Shared;
use super::enter::EnterGuard;
use crate::error::Incident;
use crate::sys::saturating_deadline;

impl Shared {
    /// Completes shielded work and sends what is unsent, within their timeouts; then ends every
    /// task and every operation, and the ring with them.
    pub(super) fn close(self: &Rc<Self>) {
        let guard = EnterGuard::to_close(self);
        // Inside of another event loop this one cannot run.
        self.finish_shielded(guard.is_outermost());
        self.finish_unsent(guard.is_outermost());
        self.close_remote_queues();
        self.executor.end_all();
        // While the ring can still close what they own.
        self.executor.drop_returned(usize::MAX);
        self.driver.close(self.teardown_timeout);
        self.executor.close();
        if let Some(reporter) = &self.reporter {
            reporter.finish();
        }
    }

    /// Accepts nothing more from other threads. What they have sent and is not a task yet never
    /// begins.
    fn close_remote_queues(&self) {
        let mut index = 0;
        while let Some(queue) = self.remote_queue(index) {
            queue.close();
            index += 1;
        }
    }

    /// Runs the event loop until the shielded work is done, within its timeout. Reports what is
    /// not; it ends with the other tasks.
    fn finish_shielded(&self, can_run: bool) {
        let is_done = || self.shielded.count() == 0;
        if can_run {
            // Even on a slow machine, and with a short timeout: a task that is ready is polled
            // before it is dropped.
            self.run_each_ready(is_done);
            self.run_within(self.shield_timeout, is_done);
        }
        match self.shielded.count() {
            0 => {}
            count => (self.driver.incidents())(&Incident::ShieldedWorkLost { count }),
        }
    }

    /// Runs the event loop until everything written so far is sent, within its timeout. Reports
    /// what is not, which is lost.
    fn finish_unsent(&self, can_run: bool) {
        let count = self.driver.unsent_writes().take_count();
        if can_run && !self.flush_timeout.is_zero() {
            self.run_within(self.flush_timeout, || count.get() == 0);
        }
        match count.get() {
            0 => {}
            count => (self.driver.incidents())(&Incident::UnsentDataLost { count }),
        }
    }

    /// Runs the event loop until it is over, within a timeout. No other event loop may be running.
    fn run_within(&self, timeout: Duration, is_over: impl Fn() -> bool) {
        if is_over() {
            return;
        }
        let deadline = saturating_deadline(self.driver.timers().now(), timeout);
        let timer = self.driver.timers().start(deadline, Waker::noop());
        self.run_until(|| is_over() || self.driver.timers().now() >= deadline);
        self.driver.timers().stop(timer);
    }
}
