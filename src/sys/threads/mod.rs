//! Threads that run jobs: closures of the user, and what a ring cannot do without waiting.
//!
//! A pool starts a thread when a job is queued and no thread is idle, up to its limit. Beyond that,
//! jobs wait, first in, first out, and can be taken back. A thread ends when it has been idle for a
//! while.
//!
//! One lock and one condition variable are all that the threads share; jobs run, and are dropped,
//! without the lock. A forked child has none of its parent's threads, but a copy of the pool that
//! counts them, and whose lock may be held for ever: it must not use that copy.

mod queue;

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

pub(crate) use queue::Ticket;

use super::affinity::Unpinned;
use crate::error::catch_panic;
use queue::Queue;

/// What a thread runs.
pub(crate) trait Job: Send + 'static {
    type Outcome;

    /// Runs it, and returns what is to be reported.
    fn run(self) -> Option<Self::Outcome>;

    /// Reports an outcome. The thread counts as idle already: a job that is queued in answer starts
    /// no other.
    fn report(outcome: Self::Outcome);
}

/// A closure has no outcome for the pool: it delivers its result on its own.
impl Job for Box<dyn FnOnce() + Send> {
    type Outcome = Infallible;

    fn run(self) -> Option<Infallible> {
        self();
        None
    }

    fn report(outcome: Infallible) {
        match outcome {}
    }
}

/// What the threads of a pool are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads {
    pub(crate) name: &'static str,
    pub(crate) most: usize,
    /// How long a thread waits for a job before it ends.
    pub(crate) idle: Duration,
    /// Called first on each thread.
    pub(crate) prepare: fn(),
}

/// What a pool and its threads share.
pub(crate) struct Pool<J> {
    threads: Threads,
    state: Mutex<State<J>>,
    /// Notified when a job is queued, and when the pool is closed.
    work: Condvar,
}

struct State<J> {
    jobs: Queue<J>,
    threads: usize,
    /// How many threads wait. Includes those that were notified of a job and have not taken it yet.
    idle: usize,
    closed: bool,
}

impl<J: Job> Pool<J> {
    pub(crate) fn new(threads: Threads) -> Arc<Self> {
        let state = State { jobs: Queue::new(), threads: 0, idle: 0, closed: false };
        Arc::new(Self { threads, state: Mutex::new(state), work: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().expect("no code that may panic runs under this lock")
    }

    /// How many threads the pool has now.
    pub(crate) fn threads(&self) -> usize {
        self.lock().threads
    }

    /// Ends the threads when they have run all queued jobs.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Queues a job, and wakes or starts a thread for it. Returns the job if the pool has no thread
    /// and cannot start one.
    pub(crate) fn submit(self: &Arc<Self>, job: J) -> Result<Ticket, (J, io::Error)> {
        let mut state = self.lock();
        let ticket = state.jobs.push(job);
        if state.jobs.len() <= state.idle {
            self.work.notify_one();
        } else if state.threads < self.threads.most {
            match self.start_thread() {
                Ok(()) => state.threads += 1,
                // A running thread will take the job later.
                Err(_) if state.threads > 0 => {}
                Err(error) => {
                    let job = state.jobs.take(ticket).expect("no thread could take it");
                    return Err((job, error));
                }
            }
        }
        Ok(ticket)
    }

    /// Takes back a job that no thread has begun.
    pub(crate) fn take(&self, ticket: Ticket) -> Option<J> {
        self.lock().jobs.take(ticket)
    }

    /// Takes back the first of the jobs that no thread has begun.
    pub(crate) fn take_first(&self) -> Option<J> {
        self.lock().jobs.pop()
    }

    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        let its = Arc::clone(self);
        // A pinned shard may be the one that starts it, but the threads work for all.
        let unpinned = Unpinned::of_this_thread();
        let body = move || {
            unpinned.apply();
            (its.threads.prepare)();
            its.run_jobs();
        };
        thread::Builder::new().name(self.threads.name.into()).spawn(body).map(drop)
    }

    /// The main loop of a thread.
    fn run_jobs(&self) {
        let mut outcome = None;
        while let Some(job) = self.next_job(outcome.take()) {
            // A job reports its own panics.
            let _ = catch_panic(|| outcome = job.run());
        }
    }

    /// Reports what the job before has led to, and waits for a job. Returns `None` when the thread
    /// must end; it is no longer counted then.
    fn next_job(&self, outcome: Option<J::Outcome>) -> Option<J> {
        let mut state = self.lock();
        if let Some(outcome) = outcome {
            state.idle += 1;
            drop(state);
            J::report(outcome);
            state = self.lock();
            state.idle -= 1;
        }
        let mut waited = false;
        loop {
            if let Some(job) = state.jobs.pop() {
                return Some(job);
            }
            if waited || state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, timeout) = self
                .work
                .wait_timeout(state, self.threads.idle)
                .expect("no code that may panic runs under this lock");
            state = woken;
            state.idle -= 1;
            waited = timeout.timed_out();
        }
    }
}
