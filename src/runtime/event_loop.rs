//! The loop: tasks, then the kernel, again and again; and its end.

use std::rc::Rc;

use super::context::Shared;
use super::enter::EnterGuard;

/// More than any chain of operations that follow from each other without a task.
const MOST_LAST_TURNS: usize = 8;

impl Shared {
    /// Turns until it is over.
    pub(super) fn run_until(&self, is_over: impl Fn() -> bool) {
        loop {
            self.run_ready(&is_over);
            if is_over() {
                return;
            }
            let may_wait = !self.executor.has_ready() && self.executor.park();
            self.driver.turn(may_wait);
            self.executor.receive();
        }
    }

    /// Turns until each task that is ready now has been polled once, or it is over.
    pub(super) fn run_each_ready(&self, is_over: impl Fn() -> bool) {
        if is_over() {
            return;
        }
        self.executor.receive();
        let mut left = self.executor.count_ready();
        while left > 0 && !is_over() {
            left = left.saturating_sub(self.run_ready(&is_over));
            self.driver.turn(false);
            self.executor.receive();
        }
    }

    /// Polls ready tasks, until none is ready, enough have run or done enough past the ring, or it is
    /// over. Returns how many were polled.
    fn run_ready(&self, is_over: impl Fn() -> bool) -> usize {
        for polled in 0..self.max_polls_per_turn {
            let Some(task) = self.executor.pop() else { return polled };
            task.run();
            if is_over() || self.driver.is_turn_spent() {
                return polled + 1;
            }
        }
        self.max_polls_per_turn
    }

    /// Submits what the last polls have queued, such as the close of a connection: the next call of
    /// `block_on` may be far. What that brings may queue more, as when a close follows the end of a
    /// dropped read.
    pub(super) fn submit_queued(&self) {
        for _ in 0..MOST_LAST_TURNS {
            self.driver.turn(false);
            if self.driver.metrics().queued == 0 {
                return;
            }
        }
    }

    /// Lets shielded work come to its end, sends what is unsent, and then ends every task and every
    /// operation, and the ring with them.
    pub(super) fn close(self: &Rc<Self>) {
        let inside = EnterGuard::to_close(self);
        // Inside of another loop this one cannot run.
        self.finish_shielded(inside.is_outermost());
        self.finish_unsent(inside.is_outermost());
        self.executor.end_all();
        self.driver.close(self.teardown_timeout);
        self.executor.close();
        if let Some(reporter) = &self.reporter {
            reporter.finish();
        }
    }
}
