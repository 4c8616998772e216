//! The queue of tasks that are ready, first in first out, linked through their headers.

use std::cell::Cell;
use std::ptr::NonNull;

use super::header::Header;

/// Each place in it is a hold of the owner's thread, which alone may touch it.
#[derive(Default)]
pub(super) struct ReadyQueue {
    first: Cell<Option<NonNull<Header>>>,
    last: Cell<Option<NonNull<Header>>>,
}

impl ReadyQueue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    pub(super) fn count(&self) -> usize {
        let mut count = 0;
        let mut place = self.first.get();
        while let Some(task) = place {
            count += 1;
            // SAFETY: the place is a hold.
            place = unsafe { task.as_ref() }.ready_next.get();
        }
        count
    }

    /// Adds a task at the end.
    ///
    /// # Safety
    ///
    /// The caller gives away a hold of the task, which does not stand in the queue.
    #[inline]
    pub(super) unsafe fn push(&self, task: NonNull<Header>) {
        // SAFETY: the caller's hold, and those of the places, keep the headers valid.
        unsafe {
            task.as_ref().ready_next.set(None);
            match self.last.replace(Some(task)) {
                Some(last) => last.as_ref().ready_next.set(Some(task)),
                None => self.first.set(Some(task)),
            }
        }
    }

    /// Takes out the task that has stood the longest; its hold becomes the caller's.
    #[inline]
    pub(super) fn pop(&self) -> Option<NonNull<Header>> {
        let task = self.first.get()?;
        // SAFETY: the place is a hold.
        let next = unsafe { task.as_ref() }.ready_next.get();
        self.first.set(next);
        if next.is_none() {
            self.last.set(None);
        }
        Some(task)
    }
}
