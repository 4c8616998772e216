//! The list of all tasks that have not ended, the oldest first, linked through their headers.

use std::cell::Cell;
use std::ptr::NonNull;

use super::header::{Header, Phase};

/// Each place in it is a hold of the owner's thread, which alone may touch it.
#[derive(Default)]
pub(super) struct TaskList {
    first: Cell<Option<NonNull<Header>>>,
    last: Cell<Option<NonNull<Header>>>,
}

impl TaskList {
    /// The oldest task that is not running.
    pub(super) fn first_waiting(&self) -> Option<NonNull<Header>> {
        let mut place = self.first.get();
        while let Some(task) = place {
            // SAFETY: the place is a hold.
            let header = unsafe { task.as_ref() };
            if header.phase.get() == Phase::Waiting {
                break;
            }
            place = header.list_after.get();
        }
        place
    }

    /// Adds a task at the end.
    ///
    /// # Safety
    ///
    /// The caller gives away a hold of the task, which does not stand in the list.
    #[inline]
    pub(super) unsafe fn push(&self, task: NonNull<Header>) {
        let before = self.last.replace(Some(task));
        // SAFETY: the caller's hold, and those of the places, keep the headers valid.
        unsafe {
            let header = task.as_ref();
            header.list_before.set(before);
            header.list_after.set(None);
            match before {
                Some(before) => before.as_ref().list_after.set(Some(task)),
                None => self.first.set(Some(task)),
            }
        }
    }

    /// Takes a task out; its hold is then the caller's.
    ///
    /// # Safety
    ///
    /// The task stands in this list.
    #[inline]
    pub(super) unsafe fn remove(&self, task: NonNull<Header>) {
        // SAFETY: the places are holds.
        unsafe {
            let (before, after) = (task.as_ref().list_before.get(), task.as_ref().list_after.get());
            match before {
                Some(before) => before.as_ref().list_after.set(after),
                None => self.first.set(after),
            }
            match after {
                Some(after) => after.as_ref().list_before.set(before),
                None => self.last.set(before),
            }
        }
    }
}
