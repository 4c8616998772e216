//! The event loop: tasks, then the kernel, again and again.

use super::context::Shared;

/// More than any chain of operations that follow from each other without a task.
const MAX_LAST_TURNS: usize = 8;

impl Shared {
    /// Makes turns until it is over.
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

    /// Makes turns until each task that is ready now has been polled once, or it is over.
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

    /// Polls ready tasks until none is ready, the turn's polls or its budget of inline calls are
    /// used up, or it is over. Returns how many were polled.
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

    /// Submits what the last polls have queued, such as the close of a connection, as the next
    /// `block_on` may be far away. Completions may queue more, as when the cancel of a dropped read
    /// is followed by the close of its socket.
    pub(super) fn submit_queued(&self) {
        for _ in 0..MAX_LAST_TURNS {
            self.driver.turn(false);
            if self.driver.metrics().queued == 0 {
                return;
            }
        }
    }
}
