//! The life of a shard's thread: it starts, waits for the others, calls the closure, serves the
//! others until their closures have ended too, and ends its runtime.
//!
//! A shard that restarts does so on the same thread, with a new runtime. While it waits before it
//! calls its closure again, that runtime's event loop runs already.

use std::future::Future;
use std::io::{self, Write as _};
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use std::{process, thread};

use super::ending::Ending;
use super::error::ShardsError;
use super::failure::{OnFailure, Restarts};
use super::messages::{Mesh, Port};
use super::outcome::ShardOutcome;
use super::placement::Place;
use super::shard::{CurrentShard, Run, Shard};
use super::start_gate::StartGate;
use super::supervision::{EndGuard, Ended};
use crate::error::{Incident, SetupError};
use crate::runtime::signals::rung;
use crate::runtime::{Builder, Handle, Runtime};
use crate::sys::fork::Generation;
use crate::time::timeout;

/// How often a shard without a runtime looks whether all shards stop.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// What the thread of a shard is given.
pub(super) struct ShardThread<'a, F> {
    pub(super) index: usize,
    pub(super) place: Place,
    pub(super) builder: Builder,
    pub(super) on_failure: &'a OnFailure,
    /// If ctrl-c is to cancel the closure: the bell that it rings.
    pub(super) ctrl_c: Option<RawFd>,
    pub(super) mesh: &'a Arc<Mesh>,
    pub(super) gate: &'a StartGate,
    pub(super) ends: Sender<Ended>,
    pub(super) main: &'a F,
}

/// The index and the handle of a shard that has started, or why it has not.
pub(super) type Started = Result<(usize, Handle), ShardsError>;

impl<F> ShardThread<'_, F> {
    /// The body of the thread. Returns `None` if not all shards have started.
    pub(super) fn run<T>(self, started: Sender<Started>) -> Option<Ending<T>>
    where
        F: AsyncFn(Shard) -> T,
        T: ShardOutcome,
    {
        let (cpu, runtime) = match self.start() {
            Ok(both) => both,
            Err(error) => {
                let _ = started.send(Err(error));
                return None;
            }
        };
        let port = self.attach(&runtime);
        let _ = started.send(Ok((self.index, runtime.handle().with_successors())));
        // The receiver waits for the last sender.
        drop(started);
        let run = self.gate.wait()?;
        let shard = Shard::new(self.index, cpu, Arc::clone(&run), port);
        // Dropped after the runtime: the destructors of tasks may use it.
        let _current = CurrentShard::set(shard.clone());
        let (index, ends) = (self.index, &self.ends);
        let mut guard = EndGuard { shard: index, has_failed: true, run: &run, ends };
        let (ending, runtime) = self.live(runtime, &shard);
        guard.has_failed = ending.failure().is_some();
        drop(guard);
        if let Some(runtime) = runtime {
            serve(&runtime, || run.end.wait(index));
        }
        Some(ending)
    }

    /// Puts the calling thread where it is to run, and makes its runtime there, so that memory is
    /// close to the CPU.
    fn start(&self) -> Result<(Option<usize>, Runtime), ShardsError> {
        let shard = self.index;
        let pinned = self.place.take();
        let cpu = pinned.map_err(|(cpus, error)| ShardsError::Pin { shard, cpus, error })?;
        let runtime = self.builder.clone().build();
        Ok((cpu, runtime.map_err(|error| ShardsError::Setup { shard, error })?))
    }

    /// Links this incarnation of the shard with the others.
    fn attach(&self, runtime: &Runtime) -> Rc<Port> {
        runtime.attach(|attachment| Port::new(self.mesh, self.index, attachment))
    }

    /// Calls the closure, and again after failures if that is configured. Returns how it has ended
    /// at last, and the runtime, unless there is none any more.
    fn live<T>(&self, mut runtime: Runtime, shard: &Shard) -> (Ending<T>, Option<Runtime>)
    where
        F: AsyncFn(Shard) -> T,
        T: ShardOutcome,
    {
        let process = Generation::of_this_process();
        let mut restarts = Restarts::new(self.on_failure);
        self.heed_ctrl_c(&runtime, shard);
        loop {
            let ending = self.call(&runtime, shard);
            if !process.is_present() {
                exit_child(&ending);
            }
            let Some(message) = ending.failure() else { return (ending, Some(runtime)) };
            let is_stopping = shard.shutdown().is_requested();
            let delay = if is_stopping { None } else { restarts.next_delay(Instant::now()) };
            let Some(delay) = delay else { return (ending, Some(runtime)) };
            let handle = shard.handle(self.index);
            // It has failed before it heeded the stop.
            if handle.was_stopped() {
                return (ending.stopped(message), Some(runtime));
            }
            let failure = message.clone();
            let restarted = Incident::ShardRestarted { shard: self.index, message: failure, delay };
            runtime.report(&restarted);
            drop(runtime);
            runtime = match self.rebuild(shard.run(), &mut restarts) {
                Ok(runtime) => runtime,
                Err(Unbuilt::Stopped) => return (ending.stopped(message), None),
                Err(Unbuilt::Failed(error)) => return (Ending::NotRestarted(error), None),
            };
            shard.replace_port(self.attach(&runtime));
            // A stop of the former runtime is now one of this, and ends the wait.
            handle.replace(runtime.handle());
            self.heed_ctrl_c(&runtime, shard);
            let stop = async { timeout(delay, shard.shutdown().requested()).await.is_ok() };
            match runtime.try_block_on(stop) {
                Ok(true) => return (ending, Some(runtime)),
                // A stop may come when the wait has just ended.
                Ok(false) if !handle.was_stopped() => ending.discard(),
                // An error is a stop by a handle or by ctrl-c.
                Ok(false) | Err(_) => return (ending.stopped(message), Some(runtime)),
            }
        }
    }

    /// Makes a new runtime. Tries again after a failure, as long as the shard may restart.
    fn rebuild(&self, run: &Run, restarts: &mut Restarts) -> Result<Runtime, Unbuilt> {
        loop {
            let error = match self.builder.clone().build() {
                Ok(runtime) => return Ok(runtime),
                Err(error) => Unbuilt::Failed(error),
            };
            let Some(mut left) = restarts.next_delay(Instant::now()) else { return Err(error) };
            while !left.is_zero() {
                if run.handles[self.index].was_stopped() {
                    return Err(Unbuilt::Stopped);
                }
                if run.shutdown.is_requested() {
                    return Err(error);
                }
                thread::sleep(left.min(STOP_CHECK));
                left = left.saturating_sub(STOP_CHECK);
            }
        }
    }

    /// Has ctrl-c cancel the closure on this runtime, if that is configured.
    fn heed_ctrl_c(&self, runtime: &Runtime, shard: &Shard) {
        if let Some(bell) = self.ctrl_c {
            drop(runtime.spawn_named("ctrl-c", stop_at_ctrl_c(bell, shard.clone())));
        }
    }

    /// Calls the closure once.
    fn call<T>(&self, runtime: &Runtime, shard: &Shard) -> Ending<T>
    where
        F: AsyncFn(Shard) -> T,
    {
        let main = async { (self.main)(shard.clone()).await };
        match catch_unwind(AssertUnwindSafe(|| runtime.try_block_on(main))) {
            Ok(Ok(value)) => Ending::Returned(value),
            Ok(Err(_)) => Ending::Cancelled,
            Err(payload) => Ending::Panicked(payload),
        }
    }
}

/// Ends a forked child that has gone on in the closure of its parent's shard: it has none of the
/// threads that would take the outcome, and may have been forked while they held their locks.
fn exit_child<T>(ending: &Ending<T>) -> ! {
    /// That of a `main` that has panicked.
    const PANICKED: i32 = 101;
    if !matches!(ending, Ending::Panicked(_)) {
        let _ = writeln!(
            io::stderr(),
            "annulus: a forked child left the closure of its parent's shard, which only the parent \
             can end: have it call `exec` or `exit`"
        );
    }
    process::exit(PANICKED)
}

/// Why a shard has no new runtime.
enum Unbuilt {
    Failed(SetupError),
    /// By its handle.
    Stopped,
}

/// Cancels the closure of this shard when ctrl-c has rung the bell.
async fn stop_at_ctrl_c(bell: RawFd, shard: Shard) {
    if rung(bell).await.is_ok() {
        shard.run().is_interrupted.store(true, Ordering::Relaxed);
        Handle::current().stop();
    }
}

/// Runs the event loop until a future completes. Handles that stop the shard do not end it.
fn serve<W: Future<Output = ()>>(runtime: &Runtime, wait: impl Fn() -> W) {
    while runtime.try_block_on(wait()).is_err() {}
}
