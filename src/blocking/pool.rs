//! Threads that run jobs.
//!
//! A pool starts a thread when a job comes and no thread is idle, up to its limit; beyond that jobs
//! queue, first in first out. A thread that has been idle for a while ends.
//!
//! A forked child has none of its parent's threads, but a copy of the pool that believes in them and
//! whose lock may be held for ever. So each process has a [`Generation`] of its own.

use std::collections::VecDeque;
use std::io;
use std::process;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

use crate::error::catch_panic;
use crate::task::Shrink;

/// A pool of one process, and those of the processes that were forked from it.
pub(super) struct Generation {
    process: u32,
    pool: Arc<Pool>,
    /// That of a forked child, in which this one is a copy.
    next: OnceLock<Box<Generation>>,
}

impl Generation {
    pub(super) fn new(most: usize, idle: Duration) -> Self {
        let pool = Pool { most, idle, state: Mutex::default(), comes: Condvar::new() };
        Self { process: process::id(), pool: Arc::new(pool), next: OnceLock::new() }
    }

    /// The pool of this process.
    pub(super) fn present(&self) -> &Arc<Pool> {
        let (mut generation, present) = (self, process::id());
        while generation.process != present {
            let Pool { most, idle, .. } = *generation.pool;
            generation = generation.next.get_or_init(|| Box::new(Self::new(most, idle)));
        }
        &generation.pool
    }

    pub(super) fn most(&self) -> usize {
        self.pool.most
    }
}

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// What a pool and its threads share.
pub(super) struct Pool {
    most: usize,
    idle: Duration,
    state: Mutex<PoolState>,
    /// A job comes, or the end.
    comes: Condvar,
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    threads: usize,
    /// How many threads wait, those among them that have been told of a job and have not taken it.
    idle: usize,
    closed: bool,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().expect("nobody panics while holding this lock")
    }

    /// How many threads there are.
    pub(super) fn threads(&self) -> usize {
        self.lock().threads
    }

    /// Ends the threads when they have run what is queued.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.comes.notify_all();
    }

    /// Queues a job and sees to it that a thread takes it. It fails, and drops the job, if there is
    /// none and none can be started.
    pub(super) fn submit(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle {
            self.comes.notify_one();
        } else if state.threads < self.most {
            let its = Arc::clone(self);
            let thread = thread::Builder::new().name("annulus-thread".into());
            match thread.spawn(move || its.work()) {
                Ok(_) => state.threads += 1,
                // A thread that is there will come to it.
                Err(_) if state.threads > 0 => {}
                Err(error) => {
                    let job = state.jobs.pop_back();
                    drop(state);
                    drop(job);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// A thread's life.
    fn work(&self) {
        while let Some(job) = self.next_job() {
            // What a job has to say it says itself.
            let _ = catch_panic(job);
        }
    }

    /// Waits for a job. `None` when the thread is to end, and is counted no more.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.jobs.shrink();
                return Some(job);
            }
            if waited || state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, timeout) = self
                .comes
                .wait_timeout(state, self.idle)
                .expect("nobody panics while holding this lock");
            state = woken;
            state.idle -= 1;
            waited = timeout.timed_out();
        }
    }
}
