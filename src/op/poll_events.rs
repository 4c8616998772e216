//! Waiting for each change of a descriptor's readiness, by one SQE.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::check_loop::check_loop;
use super::drain::Draining;
use super::multishot::Multishot;
use super::poll::PolledFd;
use crate::driver::Orphan;
use crate::error::Describe;
use crate::sys::errno::ECANCELED;
use crate::sys::{Completion, opcode};

/// How many reports may wait to be looked at. With more the driver ends the poll, and the next one
/// reports what is ready then.
const MAX_REPORTS: u32 = 64;

/// A multishot poll, which is edge-triggered: it reports what is ready at its start, and then what
/// becomes so.
pub(crate) struct PollEvents {
    polled: Rc<PolledFd>,
    events: u32,
    multishot: Multishot,
}

impl PollEvents {
    pub(crate) fn new(polled: &Rc<PolledFd>, events: u32) -> Self {
        Self { polled: Rc::clone(polled), events, multishot: Multishot::default() }
    }

    /// What was reported since the last call.
    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<io::Result<u32>> {
        let driver = self.polled.driver();
        check_loop(driver);
        loop {
            if !self.multishot.is_started() {
                let poll = opcode::PollAdd::new(self.polled.sqe_fd(), self.events).multi(true);
                // SAFETY: the SQE points to no memory.
                let is_started = unsafe { self.multishot.start(driver, poll.build(), MAX_REPORTS) };
                if !is_started {
                    let ended = io::Error::from_raw_os_error(ECANCELED);
                    return Poll::Ready(Err(ended).describe("poll"));
                }
            }
            let report = ready!(self.multishot.poll_next_within_budget(driver, context));
            // The driver has ended it, or the kernel: it is begun anew.
            let Some(report) = report.filter(|report| !report.failed_with(ECANCELED)) else {
                continue;
            };
            let mut events = report.result().describe("poll")?;
            // Several reports that wait are one.
            while let Poll::Ready(Some(more)) = self.multishot.poll_next(driver, context) {
                events |= more.result().unwrap_or(0);
            }
            return Poll::Ready(Ok(events));
        }
    }
}

impl Drop for PollEvents {
    fn drop(&mut self) {
        let orphan =
            || Box::new(OrphanedPoll { _draining: Draining::read(&self.polled) }) as Box<_>;
        self.multishot.orphan(self.polled.driver(), orphan);
    }
}

/// Keeps the descriptor until the kernel has ended the poll.
struct OrphanedPoll {
    _draining: Draining,
}

impl Orphan for OrphanedPoll {
    fn settle(&mut self, _completion: Completion) {}
}
