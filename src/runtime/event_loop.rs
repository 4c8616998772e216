//! The event loop: tasks, then the kernel, again and again.

use std::rc::Rc;
use std::time::Duration;

use super::context::Shared;
use super::guest::Turn;
use super::remote::RemoteQueue;

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
            self.flush();
            let may_wait = !self.executor.has_ready() && self.executor.park();
            self.driver.turn(may_wait);
            self.receive();
        }
    }

    /// Makes one turn, which waits no longer than `limit`. Returns how long the outer event loop
    /// may wait before the next.
    pub(super) fn turn_as_guest(&self, limit: Option<Duration>) -> Turn {
        // Ends being parked, and being watched.
        self.executor.watch_ready(false);
        self.receive();
        // Code outside of the turns may have written.
        self.flush();
        if !self.executor.has_ready() && self.executor.park() {
            self.driver.turn_within(limit);
        } else {
            self.driver.turn(false);
        }
        self.receive();
        self.run_ready(|| false);
        self.flush();
        self.driver.turn(false);
        self.receive();
        self.flush();
        let next_timer = self.driver.time_until_due();
        // What was signalled up to here, this turn has seen or sees now: the kernel shows what it
        // has for the ring before it signals. What comes later signals once more.
        self.bell.clear_outer();
        let may_wait =
            !self.executor.has_ready() && !self.driver.is_pending() && self.executor.park();
        self.executor.watch_ready(may_wait);
        Turn { next_timer, is_ready: !may_wait }
    }

    /// Takes in what other threads have sent.
    #[inline]
    pub(super) fn receive(&self) {
        if self.executor.receive() {
            self.receive_from_queues();
        }
    }

    /// Looks at every queue. Not inlined, as most turns need not.
    #[inline(never)]
    fn receive_from_queues(&self) {
        let mut has_more = self.executor.drop_returned(self.max_polls_per_turn);
        let mut index = 0;
        // Not borrowed while a queue receives, which is foreign code.
        while let Some(queue) = self.remote_queue(index) {
            has_more |= queue.receive(&self.executor);
            index += 1;
        }
        if has_more {
            // The loop does not sleep, and looks again in its next turn.
            self.executor.notify();
        }
    }

    /// Shows other threads what this one has written for them, and submits what is staged. Either
    /// may make a task ready.
    #[inline]
    fn flush(&self) {
        if self.driver.has_staged() {
            self.driver.submit_staged();
        }
        if self.flush_request.take() {
            self.flush_queues();
        }
    }

    #[inline(never)]
    fn flush_queues(&self) {
        let mut index = 0;
        while let Some(queue) = self.remote_queue(index) {
            queue.flush();
            index += 1;
        }
    }

    pub(super) fn remote_queue(&self, index: usize) -> Option<Rc<dyn RemoteQueue>> {
        self.remote_queues.borrow().get(index).map(Rc::clone)
    }

    /// Makes turns until each task that is ready now has been polled once, or it is over.
    pub(super) fn run_each_ready(&self, is_over: impl Fn() -> bool) {
        if is_over() {
            return;
        }
        self.receive();
        let mut left = self.executor.count_ready();
        while left > 0 && !is_over() {
            left = left.saturating_sub(self.run_ready(&is_over));
            self.flush();
            self.driver.turn(false);
            self.receive();
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
            self.flush();
            self.driver.turn(false);
            if self.driver.metrics().queued == 0 && !self.driver.has_staged() {
                return;
            }
        }
    }
}
