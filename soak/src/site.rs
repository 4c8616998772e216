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
use annulus::task::JoinHandle;

use crate::tally::Tallies;

/// What all shards know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tallies: Tallies,
    /// Whether no further round begins.
    pub(crate) is_over: AtomicBool,
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

    /// Spawns a task that is counted while it lives.
    pub(crate) fn spawn<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        let counted = Counted::new(&self.shared);
        annulus::spawn(async move {
            let _counted = counted;
            future.await
        })
    }
}

/// One of the tasks that are counted.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.tallies.tasks.fetch_add(1, Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tallies.tasks.fetch_sub(1, Relaxed);
    }
}
