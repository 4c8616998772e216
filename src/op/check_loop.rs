//! The check that a task waits for a ring which the loop of its thread drives.

use std::rc::Rc;

use crate::driver::Driver;
use crate::task::{RuntimeId, check_runtime, running};

/// Call this before waiting for the kernel: a ring that no loop drives produces no completions.
///
/// # Panics
///
/// If this thread is inside the loop of another runtime, unless the driver's runtime has ended: its
/// operations complete anywhere then.
#[inline]
pub(super) fn check_loop(driver: &Rc<Driver>) {
    if running() != Some(RuntimeId::of(driver)) {
        check_other_loop(driver);
    }
}

/// [`check_loop`] where this thread is not inside the loop of that runtime.
#[cold]
#[inline(never)]
fn check_other_loop(driver: &Rc<Driver>) {
    if !driver.is_closing() {
        check_runtime(RuntimeId::of(driver), "a connection, listener or other I/O");
    }
}
