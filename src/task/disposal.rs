//! Ending tasks and dropping outcomes from within destructors, with a bound on the stack.
//!
//! A dropped [`Join`](super::Join) ends its task in place, and a dropped handle may drop an outcome.
//! Both run destructors, which may drop further joins and handles: chains of tasks that own each
//! other, or of outcomes that are handles, can be of any length. So such calls are nested only
//! [`MOST_NESTED`] deep; what comes beyond is put off until the innermost of them has returned, and
//! the outermost returns when all is done.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::header::Phase;
use super::running::running;
use super::task_ref::TaskRef;

/// Deep enough for what is written by hand, and little stack even where each level takes much.
const MOST_NESTED: u32 = 16;

/// Belongs to one scheduler, and to its owner's thread.
#[derive(Default)]
pub(super) struct Disposals {
    depth: Cell<u32>,
    put_off: RefCell<VecDeque<TaskRef>>,
}

impl TaskRef {
    /// No handle owns the task any more: ends it if it has not ended, and drops an outcome that no
    /// handle may take. Done when this returns, unless such calls are nested too deeply, the task is
    /// running further down on this stack, or its loop is not: then it is cancelled, as by
    /// [`cancel`](Self::cancel).
    pub(super) fn dispose(&self) {
        // `self` keeps the scheduler until the end of this call.
        let disposals = &self.header().scheduler().disposals;
        let depth = disposals.depth.get();
        if depth == MOST_NESTED {
            disposals.put_off.borrow_mut().push_back(self.clone());
            return;
        }
        disposals.depth.set(depth + 1);
        self.dispose_now();
        while let Some(task) = disposals.next() {
            task.dispose_now();
        }
        disposals.depth.set(depth);
    }

    fn dispose_now(&self) {
        let (header, scheduler) = (self.header(), self.header().scheduler());
        match header.phase.get() {
            Phase::Ended if !header.joinable.get() => self.discard(),
            Phase::Ended => {}
            // Destructors find their runtime there, as they do at each turn.
            Phase::Waiting if scheduler.ending.get() || running() == Some(scheduler.runtime) => {
                self.end();
            }
            Phase::Waiting | Phase::Running => {
                self.cancel();
            }
        }
    }
}

impl Disposals {
    fn next(&self) -> Option<TaskRef> {
        self.put_off.borrow_mut().pop_front()
    }
}
