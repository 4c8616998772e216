//! Taking the status of children that no task waits for, so that they leave no zombies.

use std::rc::Rc;

use super::child::ChildProcess;
use super::wait::wait_submission;
use crate::driver::{Driver, Orphan};
use crate::sys::Completion;
use crate::sys::process::take_left;

/// Takes the status of a child when it has ended.
///
/// If the runtime ends before the child, or the child can only be asked again and again, another
/// runtime of this process takes it ([`reap_left_children`]).
pub(crate) fn reap_child(driver: &Driver, child: Rc<ChildProcess>) {
    if !matches!(child.try_status(), Ok(None)) {
        return;
    }
    let Some(submission) = wait_submission(driver, &child) else { return };
    // SAFETY: the SQE points to no memory.
    unsafe { driver.submit_detached(submission, Box::new(Reaping(child))) };
}

/// Takes over the children whose status no other runtime of this process was left to take.
pub(crate) fn reap_left_children(driver: &Driver) {
    for id in take_left() {
        reap_child(driver, Rc::new(ChildProcess::new(id)));
    }
}

/// A child that is waited for.
struct Reaping(Rc<ChildProcess>);

impl Orphan for Reaping {
    fn settle(&mut self, _completion: Completion) {
        // A wait that was cancelled finds that the child runs. Then it is left when it is dropped.
        let _ = self.0.try_status();
    }
}
