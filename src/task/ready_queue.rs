//! The queue of tasks that are ready, first in first out.

use std::cell::Cell;
use std::ptr::NonNull;

use super::links::Links;

/// For the owner's thread only. Owns a local reference to each task in it.
#[derive(Default)]
pub(super) struct ReadyQueue {
    first: Cell<Option<NonNull<Links>>>,
    last: Cell<Option<NonNull<Links>>>,
    /// Whether the first task that is added is to be noticed.
    is_watched: Cell<bool>,
}

impl ReadyQueue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// How many tasks are in it. Visits each.
    pub(super) fn count(&self) -> usize {
        let mut count = 0;
        let mut next = self.first.get();
        while let Some(task) = next {
            count += 1;
            // SAFETY: the queue owns a local reference to each task in it.
            next = unsafe { task.as_ref() }.ready_next.get();
        }
        count
    }

    /// Sets whether [`push`](Self::push) tells of a first task.
    pub(super) fn watch(&self, is_watched: bool) {
        self.is_watched.set(is_watched);
    }

    /// Adds a task at the end. Returns whether it is the first of a queue that is watched.
    ///
    /// # Safety
    ///
    /// The task is not in the queue, and the caller passes on a local reference to it.
    #[inline]
    #[must_use]
    pub(super) unsafe fn push(&self, task: NonNull<Links>) -> bool {
        // SAFETY: the caller's local reference, and those that the queue owns, keep the links
        // valid.
        unsafe {
            task.as_ref().ready_next.set(None);
            match self.last.replace(Some(task)) {
                Some(last) => {
                    last.as_ref().ready_next.set(Some(task));
                    false
                }
                None => {
                    self.first.set(Some(task));
                    self.is_watched.get()
                }
            }
        }
    }

    /// Takes out the task that was added first; the local reference to it becomes the caller's.
    #[inline]
    pub(super) fn pop(&self) -> Option<NonNull<Links>> {
        let task = self.first.get()?;
        // SAFETY: the queue owns a local reference to each task in it.
        let next = unsafe { task.as_ref() }.ready_next.get();
        self.first.set(next);
        if next.is_none() {
            self.last.set(None);
        }
        Some(task)
    }
}
