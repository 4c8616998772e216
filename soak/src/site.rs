//! What the rounds of one shard share: its runtime's things, and how the others are reached.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use annulus::buf::RegisteredBuffers;
use annulus::shards::Shard;
use annulus::sync::Semaphore;
use annulus::task::{JoinError, JoinHandle};

use crate::places::Place;
use crate::tally::Tallies;

/// What all shards know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tallies: Tallies,
    /// Whether no further round begins.
    pub(crate) is_over: AtomicBool,
    /// Whether a service is still to change a byte on purpose.
    pub(crate) breaks_byte: AtomicBool,
    /// Shards on which rounds still run.
    pub(crate) running: AtomicUsize,
    pub(crate) directory: PathBuf,
    /// Of the services, by shard.
    pub(crate) tcp: Vec<SocketAddr>,
    pub(crate) udp: Vec<SocketAddr>,
}

impl Shared {
    /// The path of a shard's Unix socket.
    pub(crate) fn unix(&self, shard: usize) -> PathBuf {
        unix_path(&self.directory, shard)
    }
}

/// The path of the Unix socket of a shard's service.
pub(crate) fn unix_path(directory: &Path, shard: usize) -> PathBuf {
    directory.join(format!("shard-{shard}.sock"))
}

pub(crate) struct Site {
    pub(crate) shard: Shard,
    pub(crate) shared: Arc<Shared>,
    pub(crate) buffers: RegisteredBuffers,
    /// How many names have been given.
    names: Cell<u64>,
    /// Rounds that start programs are few at a time: each is a process.
    pub(crate) processes: Rc<Semaphore>,
}

impl Site {
    pub(crate) fn new(shard: &Shard, shared: &Arc<Shared>, buffers: RegisteredBuffers) -> Self {
        Self {
            shard: shard.clone(),
            shared: Arc::clone(shared),
            buffers,
            names: Cell::new(0),
            processes: Rc::new(Semaphore::new(2)),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.shared.is_over.load(Relaxed)
    }

    /// A path of the directory that was not given before.
    pub(crate) fn new_path(&self, kind: &str) -> PathBuf {
        let number = self.names.get();
        self.names.set(number + 1);
        self.shared.directory.join(format!("{kind}-{}-{number}", self.shard.index()))
    }

    /// Spawns a task that is counted, and listed with its owner, while it lives.
    #[track_caller]
    pub(crate) fn spawn<T: 'static>(
        &self,
        whose: &str,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        spawn(&self.shared, whose, future)
    }
}

/// [`Site::spawn`].
#[track_caller]
pub(crate) fn spawn<T: 'static>(
    shared: &Arc<Shared>,
    whose: &str,
    future: impl Future<Output = T> + 'static,
) -> JoinHandle<T> {
    let counted = Counted::new(shared, whose);
    annulus::spawn(async move {
        let _counted = counted;
        future.await
    })
}

/// A task of a round, which is cancelled if the round is cut.
pub(crate) struct Owned<T>(JoinHandle<T>);

impl<T> Owned<T> {
    pub(crate) fn new(task: JoinHandle<T>) -> Self {
        Self(task)
    }

    /// Waits for the task; dropped, this cancels it.
    pub(crate) async fn join(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // Of no effect on one that has ended.
        self.0.cancel();
    }
}

/// One of the tasks that are counted.
struct Counted {
    shared: Arc<Shared>,
    _place: Place,
}

impl Counted {
    #[track_caller]
    fn new(shared: &Arc<Shared>, whose: &str) -> Self {
        shared.tallies.tasks.fetch_add(1, Relaxed);
        Self { shared: Arc::clone(shared), _place: Place::of_task(whose) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.tallies.tasks.fetch_sub(1, Relaxed);
    }
}
