//! Threads that run jobs.
//!
//! A pool starts a thread when a job is queued and no thread is idle, up to its limit. Beyond that,
//! jobs wait, first in, first out. A thread ends when it has been idle for a while.
//!
//! A forked child has none of its parent's threads, but a copy of the pool that counts them, and
//! whose lock may be held forever. So each process has its own [`Generation`] of the pool.

use std::collections::VecDeque;
use std::io;
use std::process;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

use crate::error::catch_panic;
use crate::sys::affinity::Unpinned;
use crate::task::Shrink;

/// The pool of one process, and the pools of the processes that were forked from it.
pub(super) struct Generation {
    process: u32,
    pool: Arc<Pool>,
    /// The pool of a forked child, in which this one is only a copy.
    next: OnceLock<Box<Generation>>,
}

impl Generation {
    pub(super) fn new(max_threads: usize, idle: Duration) -> Self {
        let (state, work) = (Mutex::default(), Condvar::new());
        let pool = Pool { max_threads, idle, state, work };
        Self { process: process::id(), pool: Arc::new(pool), next: OnceLock::new() }
    }

    /// The pool of this process.
    pub(super) fn current(&self) -> &Arc<Pool> {
        let (mut generation, current) = (self, process::id());
        while generation.process != current {
            let Pool { max_threads, idle, .. } = *generation.pool;
            generation = generation.next.get_or_init(|| Box::new(Self::new(max_threads, idle)));
        }
        &generation.pool
    }

    pub(super) fn max_threads(&self) -> usize {
        self.pool.max_threads
    }
}

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// What a pool and its threads share.
pub(super) struct Pool {
    max_threads: usize,
    /// How long a thread waits for a job before it ends.
    idle: Duration,
    state: Mutex<PoolState>,
    /// Notified when a job is queued, and when the pool is closed.
    work: Condvar,
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    threads: usize,
    /// How many threads wait. Includes those that were notified of a job and have not taken it yet.
    idle: usize,
    closed: bool,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().expect("no code that may panic runs under this lock")
    }

    /// How many threads the pool has now.
    pub(super) fn threads(&self) -> usize {
        self.lock().threads
    }

    /// Ends the threads when they have run all queued jobs.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Queues a job, and wakes or starts a thread for it. Fails, and drops the job, if the pool has
    /// no thread and cannot start one.
    pub(super) fn submit(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle {
            self.work.notify_one();
        } else if state.threads < self.max_threads {
            let its = Arc::clone(self);
            let thread = thread::Builder::new().name("annulus-thread".into());
            // A pinned shard may be the one that starts it, but the pool works for all.
            let unpinned = Unpinned::of_this_thread();
            let body = move || {
                unpinned.apply();
                its.run_jobs();
            };
            match thread.spawn(body) {
                Ok(_) => state.threads += 1,
                // A running thread will take the job later.
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

    /// The main loop of a thread.
    fn run_jobs(&self) {
        while let Some(job) = self.next_job() {
            // A job reports its own panics.
            let _ = catch_panic(job);
        }
    }

    /// Waits for a job. Returns `None` when the thread must end; it is no longer counted then.
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
                .work
                .wait_timeout(state, self.idle)
                .expect("no code that may panic runs under this lock");
            state = woken;
            state.idle -= 1;
            waited = timeout.timed_out();
        }
    }
}
