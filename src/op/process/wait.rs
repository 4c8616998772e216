//! Waiting until a child has ended. Dropped in flight, nothing has happened: the status is taken by
//! a call ([`ChildProcess::try_status`]) afterwards.

use std::io;
use std::rc::Rc;

use super::child::ChildProcess;
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::operation::{Operation, Step};
use crate::sys::errno::ECHILD;
use crate::sys::poll::READABLE;
use crate::sys::process::{ENDED, LEAVE_STATUS};
use crate::sys::types::Fd;
use crate::sys::{Completion, Submission, opcode};

/// Completes when a child has ended, or has a status no more.
pub(crate) struct WaitChild {
    /// Keeps the pidfd open.
    child: Rc<ChildProcess>,
    submission: Submission,
}

impl WaitChild {
    /// `None` if this kernel can only be asked again and again: it has no waitid on the ring, and
    /// the child has no pidfd.
    pub(crate) fn new(driver: &Driver, child: &Rc<ChildProcess>) -> Option<Self> {
        let submission = wait_submission(driver, child)?;
        Some(Self { child: Rc::clone(child), submission })
    }
}

/// The SQE of a wait, which points to no memory.
pub(super) fn wait_submission(driver: &Driver, child: &ChildProcess) -> Option<Submission> {
    if driver.capabilities().wait_for_processes {
        let target = child.id().wait_target();
        let options = ENDED | LEAVE_STATUS;
        return Some(opcode::WaitId::new(target.kind, target.id, options).build());
    }
    let pidfd = child.pidfd()?;
    Some(opcode::PollAdd::new(Fd(std::os::fd::AsRawFd::as_raw_fd(&pidfd)), READABLE).build())
}

// SAFETY: the SQE points to no memory: the kernel writes no `siginfo` where there is no pointer
// (`uring-sys-tests`, waitid_without_reaping_leaves_the_status).
unsafe impl Operation for WaitChild {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        self.submission.clone()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        if completion.failed_with(ECHILD) {
            return Step::Done(Ok(()));
        }
        let child = self.child.id().number();
        let result = completion.result().map(drop);
        Step::Done(result.describe(format_args!("wait for process {child}")))
    }

    fn settle(self, _completion: Completion) {}
}
