//! The life of a shard's thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::error::ShardsError;
use super::messages::{Mesh, Port};
use super::placement::Place;
use super::shard::{CurrentShard, Run, Shard};
use super::start_gate::StartGate;
use crate::runtime::{Builder, Handle, Runtime};

/// What the thread of a shard is given.
pub(super) struct ShardThread<'a, F> {
    pub(super) index: usize,
    pub(super) place: Place,
    pub(super) builder: Builder,
    pub(super) mesh: &'a Arc<Mesh>,
    pub(super) gate: &'a StartGate,
    /// Tells the thread that starts the shards whether this one has.
    pub(super) started: Sender<Started>,
    pub(super) main: &'a F,
}

/// The index and the handle of a shard that has started, or why it has not.
pub(super) type Started = Result<(usize, Handle), ShardsError>;

/// How the closure of a shard has ended; an error is the payload of its panic.
pub(super) type Ended<T> = Result<T, Box<dyn Any + Send>>;

impl<F> ShardThread<'_, F> {
    /// Runs the closure, if all shards start.
    pub(super) fn run<T>(self) -> Option<Ended<T>>
    where
        F: AsyncFn(Shard) -> T,
    {
        let Self { index, place, builder, mesh, gate, started, main } = self;
        let (cpu, runtime) = match start(index, &place, builder) {
            Ok(both) => both,
            Err(error) => {
                let _ = started.send(Err(error));
                return None;
            }
        };
        let port = runtime.attach(|attachment| Port::new(mesh, index, attachment));
        let _ = started.send(Ok((index, runtime.handle())));
        // The receiver waits for the last sender.
        drop(started);
        let shard = Shard::new(index, cpu, gate.wait()?, port);
        // Also while the runtime ends: the destructors of tasks may use it.
        let _current = CurrentShard::set(shard.clone());
        let ended = run_main(&runtime, main, shard);
        drop(runtime);
        Some(ended)
    }
}

/// Puts the calling thread where it is to run, and makes its runtime there, so that memory is close
/// to the CPU.
fn start(
    shard: usize,
    place: &Place,
    builder: Builder,
) -> Result<(Option<usize>, Runtime), ShardsError> {
    let cpu = place.take().map_err(|(cpus, error)| ShardsError::Pin { shard, cpus, error })?;
    let runtime = builder.build().map_err(|error| ShardsError::Setup { shard, error })?;
    Ok((cpu, runtime))
}

/// Runs the closure, and then the tasks of this shard until all closures have ended.
fn run_main<T>(runtime: &Runtime, main: &impl AsyncFn(Shard) -> T, shard: Shard) -> Ended<T> {
    let run: &Run = &shard.run().clone();
    let index = shard.index();
    let call = || runtime.block_on(async { main(shard).await });
    let ended = catch_unwind(AssertUnwindSafe(call));
    run.end.arrive();
    runtime.block_on(run.end.wait(index));
    ended
}
