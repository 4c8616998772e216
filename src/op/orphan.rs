//! An operation whose future was dropped while a step is in the kernel.
//!
//! It moves into the driver's slot, with its buffer and its descriptor, and the driver requests a
//! cancel. The last completion goes to [`Operation::settle`], which disposes of what it carries;
//! then the buffer is freed, and what waits for the orphan goes on ([`Draining`]). An operation
//! that notifies is not cancelled, since its result comes soon, and its memory is kept apart, until
//! the notification.

use std::rc::Rc;

use super::drain::Draining;
use super::operation::Operation;
use crate::driver::{Driver, Key, Orphan};
use crate::sys::Completion;

/// Makes an operation an orphan: its future is gone while a step has this slot. If the completion
/// is there already, the operation disposes of it now.
pub(super) fn orphan<O: Operation>(driver: &Driver, key: Key, operation: O) {
    // Dropped at the end, or with the orphan.
    let draining = operation.on_orphaned();
    let completion = if O::NOTIFIES { driver.try_next(key) } else { driver.try_take(key) };
    if let Some(completion) = completion {
        if O::NOTIFIES {
            keep_until_notified(driver, key, &operation, completion);
        }
        return operation.settle(completion);
    }
    let (keeper, is_on_device) = (operation.keeper(), operation.may_be_on_device());
    let orphan = Box::new(Orphaned { operation: Some(operation), _draining: draining });
    match keeper {
        None if is_on_device => driver.orphan_on_device(key, orphan),
        None => driver.orphan(key, orphan),
        Some(keeper) => driver.orphan_until_notified(key, orphan, keeper),
    }
}

/// Makes a link of a chain an orphan: the future is gone while it has this slot. Returns whether it
/// is in flight; then it is cancelled if `cancels`, and `next` is cancelled when it has completed.
pub(super) fn orphan_link<O: Operation>(
    driver: &Rc<Driver>,
    key: Key,
    operation: O,
    next: Option<Key>,
    cancels: bool,
) -> bool {
    // Dropped at the end, or with the orphan.
    let draining = operation.on_orphaned();
    if let Some(completion) = driver.try_take(key) {
        operation.settle(completion);
        return false;
    }
    let next = next.map(|next| (Rc::clone(driver), next));
    let orphan = Orphaned { operation: Some(operation), _draining: draining };
    driver.orphan_link(key, Box::new(OrphanedLink { orphan, next }), O::MAY_BE_ON_DEVICE);
    if cancels {
        driver.cancel(key);
    }
    true
}

/// The result of an operation that notifies has come: its slot keeps the memory until the
/// notification, if one follows.
pub(super) fn keep_until_notified<O: Operation>(
    driver: &Driver,
    key: Key,
    operation: &O,
    result: Completion,
) {
    if result.more() {
        let keeper = operation.keeper().expect("an operation that notifies has a keeper");
        driver.orphan_after_result(key, keeper);
    } else {
        driver.free_ended(key);
    }
}

/// An operation whose future is gone.
struct Orphaned<O> {
    operation: Option<O>,
    _draining: Option<Draining>,
}

impl<O: Operation> Orphan for Orphaned<O> {
    fn settle(&mut self, completion: Completion) {
        if let Some(operation) = self.operation.take() {
            operation.settle(completion);
        }
    }
}

/// A link of a chain whose future is gone.
struct OrphanedLink<O> {
    orphan: Orphaned<O>,
    /// The link that the kernel begins when this has completed.
    next: Option<(Rc<Driver>, Key)>,
}

impl<O: Operation> Orphan for OrphanedLink<O> {
    fn settle(&mut self, completion: Completion) {
        // If it has failed, the chain is severed.
        let next = self.next.take().filter(|_| completion.errno().is_none());
        if let Some((driver, next)) = next {
            driver.cancel(next);
        }
        self.orphan.settle(completion);
    }
}
