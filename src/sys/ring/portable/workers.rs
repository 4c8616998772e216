//! Threads for calls that block.

use std::mem;

use super::call::{Kind, Work};
use crate::sys::WorkerLimits;

/// A call that blocks.
pub(super) struct Job {
    /// The request's name.
    pub(super) token: usize,
    pub(super) kind: Kind,
    pub(super) work: Work,
}

/// The loop's side. For now the loop runs the jobs itself.
pub(super) struct Workers {
    finished: Vec<(usize, i32)>,
}

impl Workers {
    /// Starts no thread: a job does.
    pub(super) fn new(_limits: WorkerLimits) -> Self {
        Self { finished: Vec::new() }
    }

    /// Queues a job, and starts a thread for it if none is idle and there may be another.
    pub(super) fn submit(&mut self, job: Job) {
        let _ = job.kind;
        self.finished.push((job.token, (job.work)()));
    }

    /// Passes on what has finished since the last call: tokens and results.
    pub(super) fn collect(&mut self, mut sink: impl FnMut(usize, i32)) {
        for (token, result) in mem::take(&mut self.finished) {
            sink(token, result);
        }
    }
}
