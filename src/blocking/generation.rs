//! The pool of each process: a forked child must not use its parent's, of which it has a copy
//! without threads.

use std::process;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::sys::threads::{self, Threads};

/// A closure with its handle's part.
pub(super) type Job = Box<dyn FnOnce() + Send>;

pub(super) type Pool = threads::Pool<Job>;

/// The pool of one process, and the pools of the processes that were forked from it.
pub(super) struct Generation {
    process: u32,
    threads: Threads,
    pool: Arc<Pool>,
    /// The pool of a forked child, in which this one is only a copy.
    next: OnceLock<Box<Generation>>,
}

impl Generation {
    pub(super) fn new(most: usize, idle: Duration) -> Self {
        Self::of_this_process(Threads { name: "annulus-thread", most, idle, prepare: || {} })
    }

    fn of_this_process(threads: Threads) -> Self {
        let pool = Pool::new(threads);
        Self { process: process::id(), threads, pool, next: OnceLock::new() }
    }

    /// The pool of this process.
    pub(super) fn current(&self) -> &Arc<Pool> {
        let (mut generation, current) = (self, process::id());
        while generation.process != current {
            let next = || Box::new(Self::of_this_process(self.threads));
            generation = generation.next.get_or_init(next);
        }
        &generation.pool
    }

    pub(super) fn max_threads(&self) -> usize {
        self.threads.most
    }
}
