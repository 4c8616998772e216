//! The loop: tasks, then the kernel, again and again; and its end.

use std::mem;

use super::context::Shared;
use crate::task::{Progress, Task};

impl Shared {
    /// Takes a new task in and gives it a place in the queue. A runtime that is being torn down
    /// ends it at once.
    pub(super) fn admit(&self, task: &Task) {
        if self.closing.get() {
            return task.end();
        }
        task.set_place(self.tasks.borrow_mut().insert(task.clone()));
        task.make_ready();
    }

    /// Lets go of a task that has ended.
    fn dismiss(&self, task: &Task) {
        // Dropped only when the list is not borrowed: it may be the last reference.
        let listed = self.tasks.borrow_mut().try_remove(task.place());
        drop(listed);
    }

    /// Turns until `root` has ended.
    pub(super) fn run_until_ended(&self, root: &Task) {
        self.admit(root);
        loop {
            self.run_ready(root);
            if root.is_finished() {
                return;
            }
            let may_wait = !self.shard.has_ready() && self.shard.park();
            self.driver.turn(may_wait);
            self.shard.receive();
        }
    }

    /// Gives ready tasks their turn, until none is ready, enough have run, or `root` has ended.
    fn run_ready(&self, root: &Task) {
        for _ in 0..self.polls_a_turn {
            let Some(task) = self.shard.pop() else { return };
            if task.run() == Progress::Ended {
                self.dismiss(&task);
                if root.is_finished() {
                    return;
                }
            }
        }
    }

    /// Ends every task and every operation, and the ring with them.
    pub(super) fn close(&self) {
        self.closing.set(true);
        // A task that is spawned by a destructor from here on ends in `admit`.
        let tasks = mem::take(&mut *self.tasks.borrow_mut());
        for (_, task) in tasks {
            task.end();
        }
        self.driver.close(self.teardown_limit);
        self.shard.close();
    }
}
