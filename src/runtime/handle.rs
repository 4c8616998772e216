//! Reaching a runtime from other threads.

use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard};
use std::{fmt, mem};

use super::context::{self, Shared};
use super::remote::{CallQueue, Called, Large, RemoteJoinHandle, SpawnError, Spawned, Work, push};
use crate::task::is_large;

/// Reaches a runtime from any thread: starts tasks on it, and stops it.
///
/// Made by [`Runtime::handle`](crate::Runtime::handle), or inside of a runtime by
/// [`current`](Self::current). It may outlive the runtime, and then says so.
///
/// Calls are queued, first in first out, at most
/// [`Builder::max_remote_calls`](crate::Builder::max_remote_calls) of them. In each turn of the
/// event loop as many become tasks as may be polled in it, so a flood of calls delays neither
/// timers nor connections. A runtime that sleeps is woken; one that is not inside of `block_on`
/// begins the calls in the next one.
///
/// A closure must be `Send`, as it is sent to the thread of the runtime. The future that it makes
/// stays there, so it may contain `Rc`s and connections. A call from inside of the runtime is
/// queued like any other; [`spawn`](crate::spawn()) is cheaper there. The tasks have no
/// [context values](crate::task::ContextVar) of the caller.
///
/// In a forked child the handle of a runtime of the parent is that of an ended one. The child can
/// make runtimes of its own; one that goes on in a task of the parent's panics at the next wait of
/// the event loop, and in the closure of a [shard](crate::shards) it ends then, with status 101.
///
/// # Example
///
/// ```
/// use std::thread;
///
/// annulus::run(async {
///     let handle = annulus::Handle::current();
///     let worker = thread::spawn(move || {
///         let answer = 6 * 7;
///         // The answer is passed to the runtime's thread, which prints it.
///         handle.call(move || println!("the answer is {answer}")).unwrap().join_blocking()
///     });
///     annulus::blocking::to_thread(|| worker.join().unwrap().unwrap()).await.unwrap();
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "asyncio.AbstractEventLoop")]
#[doc(alias = "Spawner")]
pub struct Handle {
    queue: Arc<CallQueue>,
    /// For a runtime that may be replaced: the queue of its latest successor.
    latest: Option<Arc<Latest>>,
}

type Latest = Mutex<Arc<CallQueue>>;

impl Handle {
    pub(super) fn of(shared: &Shared) -> Self {
        Self { queue: Arc::clone(shared.remote_calls.queue()), latest: None }
    }

    /// Returns the handle of this thread's runtime.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "get_running_loop")]
    #[track_caller]
    pub fn current() -> Self {
        Self::of(&context::current())
    }

    /// Returns the handle of this thread's runtime, or `None` if there is none.
    #[doc(alias = "get_event_loop")]
    pub fn try_current() -> Option<Self> {
        context::try_current().map(|shared| Self::of(&shared))
    }

    /// Starts a task on the runtime's thread, from any thread.
    ///
    /// The closure is called there, as the beginning of the task, and the future that it returns is
    /// the rest of it. A panic of either is the task's. The call itself never waits.
    ///
    /// # Errors
    ///
    /// [`SpawnError::Ended`] if the runtime has ended, and [`SpawnError::Full`] if its queue is
    /// full. Both return the closure. Joining a task that was queued and not begun when its runtime
    /// ended returns [`JoinError::Ended`](crate::task::JoinError::Ended).
    ///
    /// # Example
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// let runtime = annulus::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let task = handle.spawn(|| async {
    ///     let local = Rc::new(6 * 7);
    ///     annulus::yield_now().await;
    ///     *local
    /// }).unwrap();
    /// assert_eq!(runtime.block_on(task).unwrap(), 42);
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.run_coroutine_threadsafe")]
    #[doc(alias = "run_coroutine_threadsafe")]
    #[doc(alias = "spawn_pinned")]
    #[track_caller]
    pub fn spawn<F, T>(&self, closure: F) -> Result<RemoteJoinHandle<T::Output>, SpawnError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        self.spawn_at(None, closure, Location::caller())
    }

    /// [`spawn`](Self::spawn) with a name for the task.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::task::current_task;
    ///
    /// let runtime = annulus::Runtime::new()?;
    /// let sweep = || async {
    ///     let task = current_task().expect("this is one");
    ///     assert_eq!(task.name(), Some("sweeper"));
    /// };
    /// let sweeping = runtime.handle().spawn_named("sweeper", sweep).unwrap();
    /// runtime.block_on(sweeping).unwrap();
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[track_caller]
    pub fn spawn_named<F, T>(
        &self,
        name: impl Into<Arc<str>>,
        closure: F,
    ) -> Result<RemoteJoinHandle<T::Output>, SpawnError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        self.spawn_at(Some(name.into()), closure, Location::caller())
    }

    /// Calls a closure on the runtime's thread, from any thread.
    ///
    /// It must not block. It runs in a task of its own, so it may use whatever a task may. The call
    /// itself never waits.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    ///
    /// # Example
    ///
    /// ```
    /// let runtime = annulus::Runtime::new()?;
    /// let submitted = runtime.handle().call(|| annulus::metrics().submitted).unwrap();
    /// println!("SQEs: {}", runtime.block_on(submitted).unwrap());
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.loop.call_soon_threadsafe")]
    #[doc(alias = "call_soon_threadsafe")]
    #[doc(alias = "submit_to")]
    #[track_caller]
    pub fn call<F, T>(&self, closure: F) -> Result<RemoteJoinHandle<T>, SpawnError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let pushed = self.push(Called(closure), None, Location::caller());
        pushed.map_err(|error| error.map(|Called(closure)| closure))
    }

    /// Stops the runtime: cancels the main task of its `block_on`.
    ///
    /// [`Runtime::try_block_on`](crate::Runtime::try_block_on) then returns
    /// [`Interrupted`](crate::Interrupted), and [`Runtime::block_on`](crate::Runtime::block_on),
    /// which has no output to return, panics. Other tasks are not cancelled: dropping the runtime
    /// ends them.
    ///
    /// A stop is one of the `block_on` that is running, even if its main task completes at the same
    /// time and the output is returned. If none is running, it is one of the next, whose main task
    /// is then not polled. A second stop before that adds nothing. Once the runtime has ended, a
    /// stop has no effect.
    ///
    /// By the handle of a [shard](crate::shards::Shard::handle) it is a stop of the shard, which is
    /// then not restarted, also between the end of one of its runtimes and the start of the next.
    ///
    /// # Example
    ///
    /// ```
    /// use std::future::pending;
    /// use std::thread;
    ///
    /// let runtime = annulus::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let stopping = thread::spawn(move || handle.stop());
    /// assert!(runtime.try_block_on(pending::<()>()).unwrap_err().is_stopped());
    /// stopping.join().unwrap();
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.loop.stop")]
    pub fn stop(&self) {
        match &self.latest {
            // Under the lock: `replace` comes before it or sees it. In a forked child the lock may
            // be held for ever.
            Some(latest) if !self.queue.is_forked() => lock(latest).stop(),
            _ => self.queue.stop(),
        }
    }

    /// Whether the latest of the runtimes that this handle reaches was stopped, at any time.
    pub(crate) fn was_stopped(&self) -> bool {
        match &self.latest {
            Some(latest) if !self.queue.is_forked() => lock(latest).was_stopped(),
            _ => self.queue.was_stopped(),
        }
    }

    /// Whether the runtime has ended.
    ///
    /// Its drop has begun to end its tasks, and it accepts no more.
    ///
    /// # Example
    ///
    /// ```
    /// let runtime = annulus::Runtime::new()?;
    /// let handle = runtime.handle();
    /// assert!(!handle.is_ended());
    /// drop(runtime);
    /// assert!(handle.is_ended());
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.loop.is_closed")]
    pub fn is_ended(&self) -> bool {
        self.queue.is_ended() && self.successor().is_none_or(|queue| queue.is_ended())
    }

    /// A handle that also reaches the runtimes that replace this one.
    pub(crate) fn with_successors(self) -> Self {
        let latest = Arc::new(Mutex::new(Arc::clone(&self.queue)));
        Self { latest: Some(latest), ..self }
    }

    /// Has this handle and its clones reach another runtime, now that theirs has ended. If that was
    /// stopped, so is the other.
    pub(crate) fn replace(&self, successor: Self) {
        if let Some(latest) = &self.latest {
            let mut latest = lock(latest);
            let former = mem::replace(&mut *latest, successor.queue);
            if former.was_stopped() {
                latest.stop();
            }
            drop(latest);
            drop(former);
        }
    }

    /// The queue of the runtime that has replaced the one that this handle was made for.
    fn successor(&self) -> Option<Arc<CallQueue>> {
        let latest = self.latest.as_ref()?;
        // While the first runtime is there, no lock is needed. In a forked child it may be held for
        // ever.
        if self.queue.is_forked() || !self.queue.is_ended() {
            return None;
        }
        let latest = Arc::clone(&lock(latest));
        (!Arc::ptr_eq(&latest, &self.queue)).then_some(latest)
    }

    #[inline]
    fn push<W: Work>(
        &self,
        work: W,
        name: Option<Arc<str>>,
        spawned_at: &'static Location<'static>,
    ) -> Result<RemoteJoinHandle<W::Output>, SpawnError<W>> {
        if self.latest.is_none() {
            return push(&self.queue, work, name, spawned_at);
        }
        match push(&self.queue, work, name.clone(), spawned_at) {
            Err(SpawnError::Ended(work)) => match self.successor() {
                Some(queue) => push(&queue, work, name, spawned_at),
                None => Err(SpawnError::Ended(work)),
            },
            other => other,
        }
    }

    fn spawn_at<F, T>(
        &self,
        name: Option<Arc<str>>,
        closure: F,
        spawned_at: &'static Location<'static>,
    ) -> Result<RemoteJoinHandle<T::Output>, SpawnError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        if const { is_large::<T>() } {
            let pushed = self.push(Large(closure), name, spawned_at);
            pushed.map_err(|error| error.map(|Large(closure)| closure))
        } else {
            let pushed = self.push(Spawned(closure), name, spawned_at);
            pushed.map_err(|error| error.map(|Spawned(closure)| closure))
        }
    }
}

fn lock(latest: &Latest) -> MutexGuard<'_, Arc<CallQueue>> {
    latest.lock().expect("no code that may panic runs under this lock")
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("ended", &self.is_ended()).finish()
    }
}
