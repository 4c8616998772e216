//! What has something to submit at the end of the turn, and not before.
//!
//! A connection to which a task writes several times in a turn sends all of it at once: its first
//! write puts it on this list, and the event loop works the list off after the tasks, before it
//! decides whether it may sleep. (What is submitted may be done by an inline call, which wakes a
//! task: that must not come after the decision.)

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::slot::Detached;
use super::trimming::trim;

#[derive(Default)]
pub(super) struct StagedList {
    list: RefCell<Vec<Rc<dyn Detached>>>,
    is_any: Cell<bool>,
}

impl StagedList {
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.is_any.get()
    }

    pub(super) fn add(&self, owner: Rc<dyn Detached>) {
        self.is_any.set(true);
        self.list.borrow_mut().push(owner);
    }

    /// Takes what there is; `None` if there is nothing.
    pub(super) fn take(&self) -> Option<Vec<Rc<dyn Detached>>> {
        self.is_any.replace(false).then(|| self.list.take())
    }

    /// Takes a list back that has been worked off, to be used again.
    pub(super) fn reuse(&self, worked_off: Vec<Rc<dyn Detached>>) {
        let mut list = self.list.borrow_mut();
        if list.capacity() == 0 {
            *list = worked_off;
        }
    }

    pub(super) fn trim(&self) {
        trim(&mut self.list.borrow_mut());
    }
}
