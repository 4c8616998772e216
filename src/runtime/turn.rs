//! The loop: tasks, then the kernel, again and again; and its end.

use super::context::Shared;
use crate::task::Task;

impl Shared {
    /// Turns until `root` has ended.
    pub(super) fn run_until_ended(&self, root: &Task) {
        loop {
            self.run_ready(root);
            if root.is_finished() {
                return;
            }
            let may_wait = !self.tasks.has_ready() && self.tasks.park();
            self.driver.turn(may_wait);
            self.tasks.receive();
        }
    }

    /// Gives ready tasks their turn, until none is ready, enough have run or done enough past the
    /// ring, or `root` has ended.
    fn run_ready(&self, root: &Task) {
        for _ in 0..self.polls_a_turn {
            let Some(task) = self.tasks.pop() else { return };
            task.run();
            if root.is_finished() || self.driver.is_turn_spent() {
                return;
            }
        }
    }

    /// Ends every task and every operation, and the ring with them.
    pub(super) fn close(&self) {
        self.tasks.end_all();
        self.driver.close(self.teardown_limit);
        self.tasks.close();
    }
}
