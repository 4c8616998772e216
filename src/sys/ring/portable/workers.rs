//! Threads for calls that block.
//!
//! Each ring has two pools ([`Kind`]): what waits for a peer must not keep files waiting. Their
//! threads start when there is a job and none is idle, up to the limits, and end when they have
//! been idle for a while.
//!
//! # Whose memory it is
//!
//! A job has addresses, not references. What they point to is kept by the operation that has pushed
//! the SQE, or by its orphan, until the job's completion has been reaped, as for the kernel's ring;
//! and what has not completed when the driver closes the ring is leaked. So a thread may write for
//! as long as its call lasts, whatever becomes of the ring.
//!
//! # How results return
//!
//! A thread adds its result to a list under a lock, and sets `FINISHED`. The loop looks at this
//! word once a turn, and sets `SLEEPS` in it before it sleeps. A thread that finds `SLEEPS` set
//! rings the bell. Either the loop sees `FINISHED` and does not sleep, or the thread sees `SLEEPS`.
//!
//! # Cancels
//!
//! A job that waits for a thread is taken back. A file's job that has begun ends by itself. Another
//! one that has begun may wait for ever: it is interrupted ([`interrupts`](super::interrupts)).

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::call::{Kind, Work};
use super::interrupts::{Interrupts, prepare_thread};
use crate::sys::WorkerLimits;
use crate::sys::errno::{ECANCELED, EINTR, ENOMEM};
use crate::sys::eventfd::EventFd;
use crate::sys::fork::Generation;
use crate::sys::threads::{self, Pool, Threads, Ticket};

/// How long an idle thread waits for the next job, as long as the kernel's workers do.
const IDLE: Duration = Duration::from_secs(5);

/// How long the loop waits before it interrupts a thread once more: the signal is lost if it comes
/// just before the call that is to be interrupted.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The result of a file's job that may wait for a peer after all. It is run again as such a job.
pub(super) const MAY_WAIT: i32 = i32::MIN;

/// The name of jobs whose end nothing waits for.
const DETACHED: usize = usize::MAX;

/// Results are in the list, or will be in a moment.
const FINISHED: u8 = 1;
/// The loop sleeps, or is about to.
const SLEEPS: u8 = 2;

/// A call that blocks.
pub(super) struct Job {
    /// The request's name.
    pub(super) token: usize,
    pub(super) kind: Kind,
    /// Whether the result is a new descriptor.
    pub(super) makes_descriptor: bool,
    pub(super) work: Work,
}

/// What a cancel finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The job had not begun. It never will, and is not collected.
    Queued,
    /// The job has begun, or ended. It is collected.
    Begun,
    Nothing,
}

/// The loop's side.
pub(super) struct Workers {
    generation: Generation,
    shared: Arc<Shared>,
    files: Arc<Pool<Task>>,
    others: Arc<Pool<Task>>,
    /// Jobs that were not collected.
    jobs: HashMap<usize, Submitted>,
    /// To swap with the list of results.
    spare: Vec<Ended>,
    /// Whether this side has set `SLEEPS`.
    sleeps: bool,
    interrupting: Option<Interrupting>,
}

/// Where a job is.
#[derive(Clone, Copy)]
struct Submitted {
    kind: Kind,
    ticket: Ticket,
    is_cancelled: bool,
}

/// Interrupts are repeated until the calls have ended.
struct Interrupting {
    next: Instant,
    pause: Duration,
}

/// What the threads know.
struct Shared {
    ended: Mutex<List>,
    state: AtomicU8,
    bell: EventFd,
    interrupts: Interrupts,
}

#[derive(Default)]
struct List {
    ended: Vec<Ended>,
    /// The ring is gone.
    is_closed: bool,
}

/// A job and its result.
struct Ended {
    job: Job,
    result: i32,
}

/// A job on its way to a thread.
struct Task {
    job: Job,
    shared: Arc<Shared>,
}

impl Workers {
    /// Starts no thread: a job does.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub(super) fn new(limits: WorkerLimits) -> io::Result<Self> {
        let shared = Shared {
            ended: Mutex::default(),
            state: AtomicU8::new(0),
            bell: EventFd::new()?,
            interrupts: Interrupts::default(),
        };
        let threads = |most: u32| Threads {
            name: "annulus-ring",
            most: most.max(1) as usize,
            idle: IDLE,
            prepare: prepare_thread,
        };
        Ok(Self {
            generation: Generation::of_this_process(),
            shared: Arc::new(shared),
            files: Pool::new(threads(limits.files)),
            others: Pool::new(threads(limits.others)),
            jobs: HashMap::new(),
            spare: Vec::new(),
            sleeps: false,
            interrupting: None,
        })
    }

    /// Readable when something has finished while the loop [sleeps](Self::prepare_sleep), and from
    /// then on: each ring is an edge.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.shared.bell.as_fd()
    }

    fn pool(&self, kind: Kind) -> &Arc<Pool<Task>> {
        match kind {
            Kind::File => &self.files,
            Kind::Other => &self.others,
        }
    }

    /// Queues a job, and starts a thread for it if none is idle and there may be another. Returns
    /// the job if there is none at all.
    pub(super) fn submit(&mut self, job: Job) -> Result<(), Job> {
        let (token, kind) = (job.token, job.kind);
        if kind == Kind::Other {
            self.shared.interrupts.expect(token);
        }
        let task = Task { job, shared: Arc::clone(&self.shared) };
        match self.pool(kind).submit(task) {
            Ok(ticket) => {
                self.jobs.insert(token, Submitted { kind, ticket, is_cancelled: false });
                Ok(())
            }
            Err((Task { job, .. }, _)) => {
                self.shared.interrupts.forget(token);
                Err(job)
            }
        }
    }

    /// Queues a call whose end nothing waits for. It is dropped if there is no thread for it.
    pub(super) fn detach(&self, kind: Kind, work: Work) {
        let job = Job { token: DETACHED, kind, makes_descriptor: false, work };
        let _ = self.pool(kind).submit(Task { job, shared: Arc::clone(&self.shared) });
    }

    /// Whether [`collect`](Self::collect) finds something.
    pub(super) fn has_finished(&self) -> bool {
        !self.jobs.is_empty() && self.shared.state.load(Ordering::Relaxed) & FINISHED != 0
    }

    /// Passes on what has finished since the last call: tokens and results.
    pub(super) fn collect(&mut self, mut sink: impl FnMut(usize, i32)) {
        if !self.has_finished() {
            return;
        }
        self.shared.state.fetch_and(!FINISHED, Ordering::Acquire);
        let mut ended = mem::take(&mut self.spare);
        mem::swap(&mut self.shared.lock().ended, &mut ended);
        for Ended { job, result } in ended.drain(..) {
            let is_cancelled =
                self.jobs.remove(&job.token).is_some_and(|submitted| submitted.is_cancelled);
            match result {
                MAY_WAIT if is_cancelled => sink(job.token, -ECANCELED),
                MAY_WAIT => {
                    if let Err(job) = self.submit(Job { kind: Kind::Other, ..job }) {
                        sink(job.token, -ENOMEM);
                    }
                }
                _ => sink(job.token, result),
            }
        }
        self.spare = ended;
    }

    /// Takes a job back if it has not begun. Interrupts one that may wait for ever.
    pub(super) fn cancel(&mut self, token: usize) -> Found {
        let Some(submitted) = self.jobs.get_mut(&token) else { return Found::Nothing };
        submitted.is_cancelled = true;
        let Submitted { kind, ticket, .. } = *submitted;
        if self.pool(kind).take(ticket).is_some() {
            self.jobs.remove(&token);
            self.shared.interrupts.forget(token);
            return Found::Queued;
        }
        if kind == Kind::Other && self.shared.interrupts.interrupt(token) {
            self.interrupting = Some(Interrupting::begin());
        }
        Found::Begun
    }

    /// The loop is about to sleep: from now on, the bell rings for what finishes. Returns how long
    /// it may sleep, if there is a bound.
    pub(super) fn prepare_sleep(&mut self) -> Option<Duration> {
        if self.jobs.is_empty() {
            return None;
        }
        self.sleeps = true;
        // It sees what a thread has finished before, or the thread sees that it sleeps: both change
        // one word.
        if self.shared.state.fetch_or(SLEEPS, Ordering::AcqRel) & FINISHED != 0 {
            return Some(Duration::ZERO);
        }
        let next = self.interrupting.as_ref()?.next;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// The loop is awake.
    pub(super) fn end_sleep(&mut self) {
        if mem::take(&mut self.sleeps) {
            self.shared.state.fetch_and(!SLEEPS, Ordering::Relaxed);
        }
        let Some(interrupting) = &mut self.interrupting else { return };
        let now = Instant::now();
        if interrupting.next <= now {
            if self.shared.interrupts.repeat() == 0 {
                self.interrupting = None;
            } else {
                interrupting.pause = (2 * interrupting.pause).min(LONGEST_PAUSE);
                interrupting.next = now + interrupting.pause;
            }
        }
    }
}

impl Drop for Workers {
    /// Queued jobs are dropped. Those that have begun go on: see the top of this file.
    fn drop(&mut self) {
        if !self.generation.is_present() {
            // The copies of a forked child, whose locks may be held for ever.
            return;
        }
        for pool in [&self.files, &self.others] {
            pool.close();
            while pool.take_first().is_some() {}
        }
        let mut list = self.shared.lock();
        list.is_closed = true;
        let left = mem::take(&mut list.ended);
        drop(list);
        left.into_iter().for_each(Ended::discard);
    }
}

impl Interrupting {
    fn begin() -> Self {
        Self { next: Instant::now() + FIRST_PAUSE, pause: FIRST_PAUSE }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.ended.lock().expect("no code that may panic runs under this lock")
    }

    fn add(&self, ended: Ended) {
        let mut list = self.lock();
        if list.is_closed {
            drop(list);
            return ended.discard();
        }
        list.ended.push(ended);
        drop(list);
        // Only the first since the loop has slept rings.
        if self.state.fetch_or(FINISHED, Ordering::AcqRel) == SLEEPS {
            self.bell.ring();
        }
    }
}

impl threads::Job for Task {
    type Outcome = (Ended, Arc<Shared>);

    fn run(self) -> Option<Self::Outcome> {
        let Self { mut job, shared } = self;
        if job.token == DETACHED {
            job.work.run();
            return None;
        }
        let result = match job.kind {
            Kind::File => run_to_its_end(&mut job),
            Kind::Other => run_interruptible(&mut job, &shared.interrupts),
        };
        Some((Ended { job, result }, shared))
    }

    fn report((ended, shared): Self::Outcome) {
        shared.add(ended);
    }
}

/// Runs a job that ends by itself. Its thread takes no signals for it, but a sandbox may interrupt
/// it, and so may a file system that is a process.
fn run_to_its_end(job: &mut Job) -> i32 {
    loop {
        let result = job.work.run();
        if result != -EINTR {
            return result;
        }
    }
}

/// Runs a job until it ends or is cancelled.
fn run_interruptible(job: &mut Job, interrupts: &Interrupts) -> i32 {
    let mut is_cancelled = interrupts.begin(job.token);
    let result = loop {
        if is_cancelled {
            break -ECANCELED;
        }
        let result = job.work.run();
        if result != -EINTR {
            break result;
        }
        // A signal meant for the job before may come late.
        is_cancelled = interrupts.is_cancelled(job.token);
    };
    interrupts.forget(job.token);
    result
}

impl Ended {
    /// Closes the descriptor, if it is one, as no completion will tell of it.
    fn discard(self) {
        if self.result >= 0 && self.job.makes_descriptor {
            // SAFETY: the job has just made the descriptor, and nothing else knows of it.
            drop(unsafe { OwnedFd::from_raw_fd(self.result) });
        }
    }
}

#[cfg(test)]
mod tests;
