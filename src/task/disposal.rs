//! Ending tasks and dropping outcomes from within destructors, with a bound on the stack.
//!
//! A dropped [`Join`](super::Join) ends its task in place, and a dropped handle may drop an
//! outcome. Both run destructors, which may drop further joins and handles: chains of tasks that
//! own each other, or of outcomes that are handles, can be of any length. So disposals are nested
//! at most [`MAX_NESTED`] deep; further ones are deferred until the innermost has returned, and the
//! outermost returns when all are done.

use super::header::{Header, Phase};
use super::running::running;
use super::scheduler::Disposals;
use super::task_ref::TaskRef;

/// More than code written by hand nests, and little stack even where each level needs much.
const MAX_NESTED: u32 = 16;

impl TaskRef {
    /// The task's handle is gone: no join will take the outcome, and no waker waits for it.
    pub(super) fn detach(&self) {
        self.header().joinable.set(false);
        if self.is_finished() {
            self.dispose();
        } else {
            self.drop_joiner();
        }
    }

    /// The task's owner is gone: ends the task if it has not ended, and drops an outcome that no
    /// handle may take. Done when this returns, with three exceptions: disposals are nested too
    /// deeply, the task is running further down on this stack, or its event loop is not running.
    /// Then it is done later; for the last two, as by [`cancel`](Self::cancel).
    pub(super) fn dispose(&self) {
        // `self` keeps the scheduler until the end of this call.
        let disposals = &self.header().scheduler().disposals;
        let depth = disposals.depth.get();
        if depth == MAX_NESTED {
            disposals.deferred.borrow_mut().push_back(Header::links(self.clone().into_raw()));
            return;
        }
        disposals.depth.set(depth + 1);
        self.dispose_now();
        while let Some(task) = next_deferred(disposals) {
            task.dispose_now();
        }
        disposals.depth.set(depth);
    }

    fn dispose_now(&self) {
        let (header, scheduler) = (self.header(), self.header().scheduler());
        match header.phase.get() {
            Phase::Ended if !header.joinable.get() => self.discard(),
            Phase::Ended => {}
            // Destructors run inside of their runtime, as in a poll.
            Phase::Waiting if scheduler.ending.get() || running() == Some(scheduler.runtime) => {
                self.end();
            }
            Phase::Waiting | Phase::Running => {
                self.cancel();
            }
        }
    }
}

fn next_deferred(disposals: &Disposals) -> Option<TaskRef> {
    let task = disposals.deferred.borrow_mut().pop_front()?;
    // SAFETY: `dispose` stored a local reference, on the owner's thread: a `TaskRef` exists there
    // only.
    Some(unsafe { TaskRef::from_raw(Header::of(task)) })
}
