//! The values of this shard that belong to a `Sharded`, by its number.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::Weak;

use crate::error::catch_panic;
use crate::sync::Lock;

/// Few: a search is faster than a hash.
#[derive(Default)]
pub(super) struct Values {
    entries: RefCell<Vec<Entry>>,
    /// Its shard has ended: no value is made any more, as none would be dropped with it.
    is_closed: Cell<bool>,
}

struct Entry {
    id: u64,
    /// `None` until it is made, and once it was stopped.
    value: Option<Rc<dyn Any>>,
    /// Locked while the value is being made.
    making: Rc<Lock<()>>,
    /// Dead once there is no handle.
    owner: Weak<()>,
}

impl Values {
    /// The value of this number.
    pub(super) fn get<T: 'static>(&self, id: u64) -> Option<Rc<T>> {
        let entries = self.entries.borrow();
        let value = entries.iter().find(|entry| entry.id == id)?.value.as_ref()?;
        Some(Rc::clone(value).downcast().expect("a number belongs to one type"))
    }

    /// The lock under which the value of this number is made; `None` if the shard has ended.
    pub(super) fn making(&self, id: u64, owner: impl FnOnce() -> Weak<()>) -> Option<Rc<Lock<()>>> {
        if self.is_closed.get() {
            return None;
        }
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries.iter().find(|entry| entry.id == id) {
            return Some(Rc::clone(&entry.making));
        }
        let making = Rc::new(Lock::new(()));
        entries.push(Entry { id, value: None, making: Rc::clone(&making), owner: owner() });
        Some(making)
    }

    /// Stores a value that was made. It is returned if the entry is gone: its shard is ending.
    pub(super) fn put<T: 'static>(&self, id: u64, value: Rc<T>) -> Result<(), Rc<T>> {
        match self.entries.borrow_mut().iter_mut().find(|entry| entry.id == id) {
            Some(entry) => {
                entry.value = Some(value);
                Ok(())
            }
            None => Err(value),
        }
    }

    /// Takes a value out.
    pub(super) fn take<T: 'static>(&self, id: u64) -> Option<Rc<T>> {
        let mut entries = self.entries.borrow_mut();
        let value = entries.iter_mut().find(|entry| entry.id == id)?.value.take()?;
        Some(value.downcast().expect("a number belongs to one type"))
    }

    /// Drops the values that have no owner any more. Returns the messages of panics.
    pub(super) fn sweep(&self) -> Vec<String> {
        let mut swept = Vec::new();
        self.entries.borrow_mut().retain_mut(|entry| {
            let is_owned = entry.owner.strong_count() > 0;
            if !is_owned {
                swept.extend(entry.value.take());
            }
            is_owned
        });
        drop_each(swept)
    }

    /// The shard has ended: drops every value. Returns the messages of panics.
    pub(super) fn close(&self) -> Vec<String> {
        self.is_closed.set(true);
        let entries = mem::take(&mut *self.entries.borrow_mut());
        drop_each(entries.into_iter().filter_map(|entry| entry.value))
    }
}

fn drop_each(values: impl IntoIterator<Item = Rc<dyn Any>>) -> Vec<String> {
    values.into_iter().filter_map(|value| catch_panic(|| drop(value))).collect()
}
