//! Starting and stopping a Tokio runtime.

use std::io::{self, Write as _};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ::tokio::runtime::{self, Runtime};
use annulus::blocking::ThreadPool;

use super::builder::Builder;

/// Starts a runtime, whose threads may run on every CPU of the process.
pub(super) fn start(builder: &Builder) -> io::Result<Runtime> {
    let builder = builder.clone();
    let build = move || {
        runtime::Builder::new_multi_thread()
            .worker_threads(builder.worker_threads)
            .max_blocking_threads(builder.max_blocking_threads)
            .thread_name(builder.thread_name)
            .enable_all()
            .build()
    };
    let built = if annulus::Handle::try_current().is_some() {
        // A shard may be pinned to its CPU, which its threads inherit, but not those of a pool.
        let (sender, receiver) = mpsc::channel();
        let pool = ThreadPool::new(1, Duration::ZERO);
        drop(pool.spawn(move || drop(sender.send(build()))));
        receiver.recv().unwrap_or_else(|_| Err(io::Error::other("no thread can be started")))
    } else {
        build()
    };
    built.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot start the Tokio runtime beside: {error}"))
    })
}

/// Stops a runtime, within the time given. What still runs then keeps its threads.
///
/// On a thread of its own: Tokio refuses to wait where a runtime of its is running, and this may be
/// called anywhere.
pub(super) fn stop(runtime: Runtime, timeout: Duration) {
    let deadline = Instant::now() + timeout.min(LONGEST);
    let stopping = Arc::new(Stopping::default());
    stopping.lock().runtime = Some(runtime);
    let its = Arc::clone(&stopping);
    let body = move || {
        let runtime = its.lock().runtime.take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        its.lock().has_ended = true;
        its.ended.notify_one();
    };
    if thread::Builder::new().name("tokio-stop".into()).spawn(body).is_err() {
        let runtime = stopping.lock().runtime.take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
        return;
    }
    stopping.wait(deadline);
    // Tokio does not say whether it has waited in vain.
    if Instant::now() >= deadline {
        // Unlike `eprintln!`, this does not panic when the write fails.
        let _ = writeln!(
            io::stderr(),
            "annulus-compat: the Tokio runtime beside did not stop within {timeout:?}: a task that \
             does not yield, or a closure of `spawn_blocking`, is still running; end it before the \
             last guard of `tokio::beside` is dropped, or raise `Builder::stop_timeout`"
        );
    }
}

/// A century: what can be added to an `Instant`.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What the thread that stops a runtime and the one that waits for it share.
#[derive(Default)]
struct Stopping {
    state: Mutex<StoppingState>,
    ended: Condvar,
}

#[derive(Default)]
struct StoppingState {
    /// Taken by the thread, or by the waiting one if there is no thread.
    runtime: Option<Runtime>,
    has_ended: bool,
}

impl Stopping {
    fn lock(&self) -> MutexGuard<'_, StoppingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the runtime has stopped, or the deadline has passed.
    fn wait(&self, deadline: Instant) {
        let mut state = self.lock();
        while !state.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self
                .ended
                .wait_timeout(state, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }
}
