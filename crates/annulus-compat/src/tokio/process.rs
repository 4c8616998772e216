//! The one Tokio runtime of the process, and who uses it.
//!
//! It is started by its first use and stopped when the last [`Use`] is dropped; one that was
//! started without a `Use` is never stopped.
//!
//! A forked child has none of Tokio's threads, but a copy of what this module knows, whose lock may
//! be held forever. So each process has a [`Generation`] of its own, as annulus's thread pools do.

use std::io;
use std::process;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ::tokio::runtime::{Handle, Runtime};

use super::builder::Builder;
use super::runtime;

/// What one process has, and the processes that were forked from it.
struct Generation {
    process: u32,
    running: Mutex<Option<Running>>,
    /// That of a forked child, in which this one is only a copy.
    next: OnceLock<Box<Generation>>,
}

/// The runtime while it runs.
struct Running {
    runtime: Runtime,
    /// How many [`Use`]s there are.
    uses: usize,
    /// Whether it runs until the process exits.
    is_lasting: bool,
    stop_timeout: Duration,
}

impl Generation {
    fn of_this_process() -> Self {
        Self { process: process::id(), running: Mutex::default(), next: OnceLock::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That of this process.
fn current() -> &'static Generation {
    static FIRST: LazyLock<Generation> = LazyLock::new(Generation::of_this_process);
    let (mut generation, process) = (&*FIRST, process::id());
    while generation.process != process {
        generation = generation.next.get_or_init(|| Box::new(Generation::of_this_process()));
    }
    generation
}

/// Keeps the runtime running until it is dropped.
pub(super) struct Use {
    pub(super) handle: Handle,
    process: u32,
}

impl Use {
    /// Starts the runtime if it is not running.
    pub(super) fn begin(builder: &Builder) -> io::Result<Self> {
        let current = current();
        let mut running = current.lock();
        let running = match &mut *running {
            Some(running) => running,
            none => none.insert(Running::start(builder, false)?),
        };
        Ok(Self::of(running, current))
    }

    /// Starts the runtime, which must not be running.
    pub(super) fn begin_first(builder: &Builder) -> io::Result<Self> {
        let current = current();
        let mut running = current.lock();
        if running.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "cannot configure the Tokio runtime beside: it is running already; configure it \
                 at the beginning of `main`, before its first use",
            ));
        }
        Ok(Self::of(running.insert(Running::start(builder, false)?), current))
    }

    fn of(running: &mut Running, generation: &Generation) -> Self {
        running.uses += 1;
        Self { handle: running.runtime.handle().clone(), process: generation.process }
    }

    /// Whether a fork lies between the process that began this use and the calling one.
    pub(super) fn is_of_parent(&self) -> bool {
        self.process != process::id()
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if self.is_of_parent() {
            return;
        }
        let mut running = current().lock();
        let ends = running.as_mut().is_some_and(|running| {
            running.uses -= 1;
            running.uses == 0 && !running.is_lasting
        });
        let ended = if ends { running.take() } else { None };
        // While it stops, another thread may start the next.
        drop(running);
        if let Some(ended) = ended {
            runtime::stop(ended.runtime, ended.stop_timeout);
        }
    }
}

impl Running {
    fn start(builder: &Builder, is_lasting: bool) -> io::Result<Self> {
        let runtime = runtime::start(builder)?;
        Ok(Self { runtime, uses: 0, is_lasting, stop_timeout: builder.stop_timeout })
    }
}

/// The handle of the runtime, which is started if it is not running and then never stopped.
pub(super) fn handle() -> io::Result<Handle> {
    handle_of(|_| ())
}

/// [`handle`] of a runtime that is never stopped from now on, by whatever it was started.
pub(super) fn lasting_handle() -> io::Result<Handle> {
    handle_of(|running| running.is_lasting = true)
}

fn handle_of(prepare: impl FnOnce(&mut Running)) -> io::Result<Handle> {
    let mut running = current().lock();
    let running = match &mut *running {
        Some(running) => running,
        none => none.insert(Running::start(&Builder::new(), true)?),
    };
    prepare(running);
    Ok(running.runtime.handle().clone())
}
