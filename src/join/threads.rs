//! Closures that block, on threads of their own.
//!
//! A pool starts a thread when a closure comes and no thread is idle, up to its limit; beyond that
//! closures queue, first in first out. A thread that has been idle for a while ends. The pool and what
//! a closure shares with its handle stand behind locks, under which nothing of others is called,
//! cloned or dropped.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::thread;
use std::time::Duration;

use crate::error::{Incident, IncidentHook, panic_message, shielded};
use crate::runtime::context;
use crate::task::{JoinError, budget};

/// How many threads [`to_thread`] uses at most.
const MOST_THREADS: usize = 64;
/// How long one of them waits for the next closure.
const IDLE: Duration = Duration::from_secs(10);

static POOL: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(MOST_THREADS, IDLE));

/// Runs a closure on a thread, so that it may block while the loop goes on.
///
/// The process has up to 64 threads for such closures, started when they are needed, and ended when
/// they have been idle for ten seconds; closures beyond that wait for a thread, first in first out. A
/// [`ThreadPool`] has other limits. A closure that computes for long is better off in a pool with as
/// many threads as there are cores.
///
/// The closure is on its way when this returns, whether or not the handle is awaited.
///
/// # Errors
///
/// Awaiting the handle gives [`JoinError::Panicked`] if the closure panics.
///
/// # Panics
///
/// If there is no runtime on this thread, or if no thread can be started and there is none.
///
/// # Cancel safety
///
/// A closure cannot be cancelled: dropping the handle *detaches* it, also one that has not begun. Its
/// output is dropped where it ends, and its panic goes to
/// [`Builder::on_incident`](crate::Builder::on_incident). The end of the runtime does not wait for it.
///
/// # Example
///
/// ```
/// use annulus::join::to_thread;
///
/// annulus::run(async {
///     let read = to_thread(|| std::fs::read_to_string("Cargo.toml"));
///     assert!(read.await.unwrap().unwrap().contains("annulus"));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.to_thread")]
#[doc(alias = "asyncio.loop.run_in_executor")]
#[doc(alias = "spawn_blocking")]
#[track_caller]
pub fn to_thread<T: Send + 'static>(
    closure: impl FnOnce() -> T + Send + 'static,
) -> ThreadHandle<T> {
    POOL.spawn(closure)
}

/// Threads for closures that block. [`to_thread`] uses one that the whole process shares.
///
/// Dropped, the pool ends its threads when they have run what was given to them.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::join::{ThreadPool, gather};
///
/// annulus::run(async {
///     let pool = ThreadPool::new(2, Duration::from_secs(1));
///     let squares = gather((0..10).map(|n| pool.spawn(move || n * n))).await;
///     assert_eq!(squares.into_iter().map(Result::unwrap).sum::<u32>(), 285);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "concurrent.futures.ThreadPoolExecutor")]
pub struct ThreadPool {
    shared: Arc<Pool>,
}

impl ThreadPool {
    /// A pool of at most `threads` threads, which end when they have been idle for so long.
    ///
    /// # Panics
    ///
    /// If it may have no thread.
    #[track_caller]
    pub fn new(threads: usize, idle: Duration) -> Self {
        assert!(threads > 0, "a pool without threads would run nothing");
        let shared = Pool { most: threads, idle, state: Mutex::default(), comes: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Runs a closure on one of the pool's threads; see [`to_thread`].
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread, or if no thread can be started and there is none.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        &self,
        closure: impl FnOnce() -> T + Send + 'static,
    ) -> ThreadHandle<T> {
        let call = Arc::new(Call {
            stage: Mutex::new(Stage::Running(None)),
            spawned_at: Location::caller(),
            incidents: context::incidents(),
        });
        let its = Arc::clone(&call);
        let outside = context::driver().outside();
        let job = move || {
            its.run(closure);
            drop(outside);
        };
        let started = Pool::submit(&self.shared, Box::new(job));
        started.expect("the system lets start a thread");
        ThreadHandle { call }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.shared.lock().threads
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.comes.notify_all();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("threads", &self.threads())
            .field("most", &self.shared.most)
            .finish()
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// What a pool and its threads share.
struct Pool {
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

    /// Queues a job and sees to it that a thread takes it. It fails if there is none.
    fn submit(this: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = this.lock();
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle {
            this.comes.notify_one();
        } else if state.threads < this.most {
            let its = Arc::clone(this);
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
            let _ = shielded(job);
        }
    }

    /// Waits for a job. `None` when the thread is to end, and is counted no more.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
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

/// What a closure and its handle share.
struct Call<T> {
    stage: Mutex<Stage<T>>,
    spawned_at: &'static Location<'static>,
    incidents: IncidentHook,
}

enum Stage<T> {
    /// It has not ended; whom to wake.
    Running(Option<Waker>),
    /// It has ended, and the handle is there to take this.
    Ended(Result<T, JoinError>),
    /// The handle has taken the outcome, or is gone.
    LetGo,
}

impl<T> Call<T> {
    fn lock(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().expect("nobody panics while holding this lock")
    }

    /// Runs the closure, on a thread of the pool.
    fn run(&self, closure: impl FnOnce() -> T) {
        let outcome = catch_unwind(AssertUnwindSafe(closure)).map_err(JoinError::Panicked);
        let mut stage = self.lock();
        if let Stage::Running(waker) = &mut *stage {
            let waker = waker.take();
            *stage = Stage::Ended(outcome);
            drop(stage);
            self.shielded(|| waker.map_or((), Waker::wake));
        } else {
            drop(stage);
            self.discard(outcome);
        }
    }

    /// Drops an outcome that nobody takes. A panic becomes an incident.
    fn discard(&self, outcome: Result<T, JoinError>) {
        if let Err(JoinError::Panicked(payload)) = &outcome {
            (self.incidents)(&Incident::TaskPanicked {
                task: Some("in a thread".into()),
                spawned_at: self.spawned_at,
                message: panic_message(&**payload),
            });
        }
        self.shielded(|| drop(outcome));
    }

    /// Runs foreign code; a panic in it becomes an incident and goes no further.
    fn shielded(&self, foreign: impl FnOnce()) {
        if let Some(message) = shielded(foreign) {
            (self.incidents)(&Incident::CallbackPanicked { message });
        }
    }
}

/// A closure on a thread. Awaited, it gives the closure's output; dropped, it detaches the closure.
/// Made by [`to_thread`].
#[must_use = "dropped, nobody hears of the output"]
pub struct ThreadHandle<T> {
    call: Arc<Call<T>>,
}

impl<T> ThreadHandle<T> {
    /// Whether the closure has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(&*self.call.lock(), Stage::Running(_))
    }
}

impl<T> Future for ThreadHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = context.waker().clone();
        let mut stage = self.call.lock();
        if let Stage::Running(present) = &mut *stage {
            let old = present.replace(waker);
            drop(stage);
            drop(old);
            return Poll::Pending;
        }
        drop(stage);
        ready!(budget::poll_spend(context));
        let taken = mem::replace(&mut *self.call.lock(), Stage::LetGo);
        let Stage::Ended(outcome) = taken else {
            panic!("the outcome of this closure has been taken already")
        };
        Poll::Ready(outcome)
    }
}

impl<T> Drop for ThreadHandle<T> {
    fn drop(&mut self) {
        let left = mem::replace(&mut *self.call.lock(), Stage::LetGo);
        match left {
            Stage::Ended(outcome) => self.call.discard(outcome),
            Stage::Running(waker) => drop(waker),
            Stage::LetGo => {}
        }
    }
}

impl<T> fmt::Debug for ThreadHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadHandle").field("finished", &self.is_finished()).finish()
    }
}
