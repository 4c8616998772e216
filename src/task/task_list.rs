//! The list of all tasks that have not ended, the oldest first.

use std::cell::Cell;
use std::ptr::NonNull;

use super::links::Links;

/// For the owner's thread only. Owns a local reference to each task in it.
#[derive(Default)]
pub(super) struct TaskList {
    first: Cell<Option<NonNull<Links>>>,
    last: Cell<Option<NonNull<Links>>>,
}

impl TaskList {
    /// The oldest task that is wanted.
    pub(super) fn find(
        &self,
        is_wanted: impl Fn(NonNull<Links>) -> bool,
    ) -> Option<NonNull<Links>> {
        let mut next = self.first.get();
        while let Some(task) = next {
            if is_wanted(task) {
                break;
            }
            // SAFETY: the list owns a local reference to each task in it.
            next = unsafe { task.as_ref() }.list_after.get();
        }
        next
    }

    /// Adds a task at the end.
    ///
    /// # Safety
    ///
    /// The task is not in the list, and the caller passes on a local reference to it.
    #[inline]
    pub(super) unsafe fn push(&self, task: NonNull<Links>) {
        let before = self.last.replace(Some(task));
        // SAFETY: the caller's local reference, and those that the list owns, keep the links valid.
        unsafe {
            let links = task.as_ref();
            links.list_before.set(before);
            links.list_after.set(None);
            match before {
                Some(before) => before.as_ref().list_after.set(Some(task)),
                None => self.first.set(Some(task)),
            }
        }
    }

    /// Takes a task out; the local reference to it becomes the caller's.
    ///
    /// # Safety
    ///
    /// The task is in this list.
    #[inline]
    pub(super) unsafe fn remove(&self, task: NonNull<Links>) {
        // SAFETY: the list owns a local reference to each task in it.
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
