//! Starting the shards' threads and waiting for them.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, ScopedJoinHandle};

use super::builder::ShardsBuilder;
use super::error::ShardsError;
use super::messages::Mesh;
use super::outcome::ShardOutcome;
use super::shard::{Run, Shard};
use super::start_gate::StartGate;
use super::thread::{Ended, ShardThread, Started};
use crate::error::discard;
use crate::runtime::Handle;
use crate::task::running;

impl ShardsBuilder {
    /// Runs the closure once on every shard, and returns the results in order of index.
    ///
    /// Blocks the calling thread until all shards have ended. So the closure may borrow. No closure
    /// begins before every shard has started, and a shard whose closure has returned continues to
    /// run its tasks until all closures have.
    ///
    /// # Errors
    ///
    /// If a shard cannot be started: then no closure was called, and the other shards have ended.
    ///
    /// # Panics
    ///
    /// If a closure panics, with the payload of the first shard that did, in order of index, when
    /// all shards have ended. If it is called inside of a runtime, whose event loop it would block.
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
    T: Send,
{
    assert!(
        running().is_none(),
        "Shards::run called inside of a runtime: it would block the event loop; call it on a thread \
         without one"
    );
    let places = settings.placement.places().map_err(ShardsError::Cpus)?;
    let count = places.len();
    // Foreign code: it may panic, so before the threads wait for anything.
    let builders: Vec<_> = (0..count).map(&settings.runtime).collect();
    let mesh = Arc::new(Mesh::new(count, settings.queue_capacity));
    let gate = StartGate::default();
    let ended = thread::scope(|scope| {
        let (started, starts) = mpsc::channel();
        let mut threads = Vec::with_capacity(count);
        for (index, (place, builder)) in places.into_iter().zip(builders).enumerate() {
            let (mesh, gate, started) = (&mesh, &gate, started.clone());
            let shard = ShardThread { index, place, builder, mesh, gate, started, main };
            let thread = thread::Builder::new().name(format!("{}-{index}", settings.name));
            match thread.spawn_scoped(scope, || shard.run()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    gate.abandon();
                    return Err(ShardsError::Thread { shard: index, error });
                }
            }
        }
        drop(started);
        let handles = match handles(starts) {
            Ok(handles) => handles,
            Err(error) => {
                gate.abandon();
                return Err(error);
            }
        };
        gate.open(&Arc::new(Run::new(handles, settings.shutdown.clone())));
        Ok(threads.into_iter().map(join).collect::<Vec<_>>())
    })?;
    Ok(results(ended))
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
fn join<T>(thread: ScopedJoinHandle<'_, Option<Ended<T>>>) -> Ended<T> {
    thread.join()?.expect("the gate was opened")
}

/// Returns the results. Resumes the first panic instead, if there is one.
fn results<T>(ended: Vec<Ended<T>>) -> Vec<T> {
    let mut results = Vec::with_capacity(ended.len());
    let mut panic = None;
    for ended in ended {
        match ended {
            Ok(result) => results.push(result),
            Err(payload) if panic.is_none() => panic = Some(payload),
            // Its message was printed by the panic hook.
            Err(payload) => discard(payload),
        }
    }
    match panic {
        Some(payload) => resume_unwind(payload),
        None => results,
    }
}
