//! The loop: tasks, then the kernel, again and again; and its end.

use std::rc::Rc;

use super::context::Shared;
use super::inside::Inside;

impl Shared {
    /// Turns until it is over.
    pub(super) fn run_until(&self, is_over: impl Fn() -> bool) {
        loop {
            self.run_ready(&is_over);
            if is_over() {
                return;
            }
            let may_wait = !self.tasks.has_ready() && self.tasks.park();
            self.driver.turn(may_wait);
            self.tasks.receive();
        }
    }

    /// Gives ready tasks their turn, until none is ready, enough have run or done enough past the
    /// ring, or it is over.
    fn run_ready(&self, is_over: impl Fn() -> bool) {
        for _ in 0..self.polls_a_turn {
            let Some(task) = self.tasks.pop() else { return };
            task.run();
            if is_over() || self.driver.is_turn_spent() {
                return;
            }
        }
    }

    /// Lets shielded work come to its end, sends what is unsent, and then ends every task and every
    /// operation, and the ring with them.
    pub(super) fn close(self: &Rc<Self>) {
        let inside = Inside::to_close(self);
        // Inside of another loop this one cannot run.
        self.finish_shielded(inside.is_outermost());
        self.finish_unsent(inside.is_outermost());
        self.tasks.end_all();
        self.driver.close(self.teardown_limit);
        self.tasks.close();
        if let Some(reporter) = &self.reporter {
            reporter.finish();
        }
    }
}
