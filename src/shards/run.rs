//! Starting the shards' threads and waiting for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, ScopedJoinHandle};

use super::builder::ShardsBuilder;
use super::ending::{Ending, values};
use super::error::ShardsError;
use super::messages::Mesh;
use super::outcome::ShardOutcome;
use super::shard::{Run, Shard};
use super::start_gate::StartGate;
use super::supervision::supervise;
use super::thread::{ShardThread, Started};
use crate::runtime::{Builder, Handle, Interrupted};
use crate::sys::signals::{SIGINT, SignalListener};
use crate::task::running;

impl ShardsBuilder {
    /// Runs the closure on every shard, and returns the results in order of index.
    ///
    /// Blocks the calling thread until all shards have ended, so the closure may borrow. No closure
    /// begins before every shard has started. A shard whose closure has returned continues to run
    /// its tasks, and what other shards start on it, until all closures have ended; then all
    /// runtimes end.
    ///
    /// When a shard fails, [`on_failure`](Self::on_failure) says what happens. An error that a
    /// closure returns is among the results.
    ///
    /// # Errors
    ///
    /// If a shard cannot start: then no closure was called, and the other shards have ended. If
    /// closures were cancelled, and so have no result: after the failure of another shard, by
    /// [`Handle::stop`](crate::Handle::stop), or by ctrl-c. If a shard could not restart.
    ///
    /// # Panics
    ///
    /// If a closure has panicked: when all shards have ended, with the payload of the first shard
    /// in order of index. If it is called inside of a runtime, whose event loop it would block.
    ///
    /// # Example
    ///
    /// ```
    /// let words = ["one", "two"];
    /// let lengths =
    ///     annulus::Shards::builder().count(2).run(async |shard| words[shard.index()].len())?;
    /// assert_eq!(lengths, [3, 3]);
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    #[track_caller]
    pub fn run<T, F>(self, main: F) -> Result<Vec<T>, ShardsError>
    where
        F: AsyncFn(Shard) -> T + Sync,
        T: ShardOutcome + Send,
    {
        run(&self, &main)
    }
}

#[track_caller]
fn run<T, F>(settings: &ShardsBuilder, main: &F) -> Result<Vec<T>, ShardsError>
where
    F: AsyncFn(Shard) -> T + Sync,
    T: ShardOutcome + Send,
{
    assert!(
        running().is_none(),
        "ShardsBuilder::run called inside of a runtime: it would block the event loop; call it on a \
         thread without one"
    );
    let places = settings.placement.places().map_err(ShardsError::Cpus)?;
    // Foreign code: it may panic, so before the threads wait for anything.
    let mut builders: Vec<_> = (0..places.len()).map(&settings.runtime).collect();
    // One listener for all: each has an eventfd.
    let heeds_ctrl_c: Vec<_> = builders.iter_mut().map(Builder::take_cancel_on_ctrl_c).collect();
    let ctrl_c = heeds_ctrl_c.contains(&true).then(|| SignalListener::new(&[SIGINT], 1));
    // Without a listener ctrl-c has its default effect.
    let ctrl_c = ctrl_c.and_then(Result::ok);
    let bell = ctrl_c.as_ref().map(|listener| listener.bell(1));
    let mesh = Arc::new(Mesh::new(places.len(), settings.queue_capacity));
    let gate = StartGate::default();
    thread::scope(|scope| {
        let ((started, starts), (ends, ended)) = (mpsc::channel(), mpsc::channel());
        let mut threads = Vec::with_capacity(places.len());
        for (index, (place, builder)) in places.into_iter().zip(builders).enumerate() {
            let (on_failure, mesh, gate, ends) = (&settings.on_failure, &mesh, &gate, ends.clone());
            let ctrl_c = bell.filter(|_| heeds_ctrl_c[index]);
            let shard =
                ShardThread { index, place, builder, on_failure, ctrl_c, mesh, gate, ends, main };
            let started = started.clone();
            let mut thread = thread::Builder::new().name(format!("{}-{index}", settings.name));
            if let Some(bytes) = settings.stack_size {
                thread = thread.stack_size(bytes);
            }
            match thread.spawn_scoped(scope, || shard.run(started)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    gate.abandon();
                    return Err(ShardsError::Thread { shard: index, error });
                }
            }
        }
        drop((started, ends));
        let run = match handles(starts) {
            // Fewer, if a thread has panicked: the scope ends with a panic.
            Ok(handles) if handles.len() == threads.len() => {
                Arc::new(Run::new(handles, settings.shutdown.clone()))
            }
            result => {
                gate.abandon();
                return result.map(|_| Vec::new());
            }
        };
        gate.open(&run);
        supervise(&run, &ended, settings.stop_timeout);
        let endings: Vec<_> = threads.into_iter().map(join).collect();
        match values(endings) {
            Err(ShardsError::Cancelled { .. }) if run.is_interrupted.load(Ordering::Relaxed) => {
                Err(ShardsError::Interrupted(Interrupted::by_ctrl_c()))
            }
            result => result,
        }
    })
}

/// Waits until all shards have started, or failed to. Returns their handles, or the first failure,
/// in order of index.
fn handles(starts: Receiver<Started>) -> Result<Vec<Handle>, ShardsError> {
    let (mut handles, mut failures) = (Vec::new(), Vec::new());
    for start in starts {
        match start {
            Ok(started) => handles.push(started),
            Err(failure) => failures.push(failure),
        }
    }
    match failures.into_iter().min_by_key(ShardsError::shard) {
        Some(failure) => Err(failure),
        None => {
            handles.sort_unstable_by_key(|&(index, _)| index);
            Ok(handles.into_iter().map(|(_, handle)| handle).collect())
        }
    }
}

/// Waits for the end of a thread whose closure was called.
fn join<T>(thread: ScopedJoinHandle<'_, Option<Ending<T>>>) -> Ending<T> {
    match thread.join() {
        Ok(ending) => ending.expect("the gate was opened"),
        Err(payload) => Ending::Panicked(payload),
    }
}
