//! Errors that no caller awaits. They go to a hook.

use std::fmt;
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// An error that no caller awaits.
///
/// [`Builder::on_incident`](crate::Builder::on_incident) sets the hook that receives incidents. The
/// default hook prints them to standard error, on a separate thread, at most ten a second of each
/// kind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Incident {
    /// A task panicked, and no handle of it was left to join it.
    TaskPanicked {
        /// The task's name, if it has one.
        task: Option<Arc<str>>,
        /// Where it was spawned.
        spawned_at: &'static Location<'static>,
        /// The panic's message.
        message: String,
    },
    /// A waker, or the destructor of a buffer or an output, panicked in the event loop, or in a
    /// task that woke another one.
    CallbackPanicked {
        /// The panic's message.
        message: String,
    },
    /// A closure for a thread has not run, because the system refused to start one, and no caller
    /// awaited it.
    ThreadNotStarted {
        /// Where it was passed to the pool.
        spawned_at: &'static Location<'static>,
        /// The system's error.
        message: String,
    },
    /// The handler of a server's connection failed. The server continues. An error that only
    /// reports that the peer has disconnected is not an incident:
    /// [`Metrics::peer_disconnects`](crate::Metrics::peer_disconnects) counts it.
    HandlerFailed {
        /// The peer's address; `None` for a Unix socket, whose clients have none.
        peer: Option<SocketAddr>,
        /// Whether the handler panicked; otherwise it returned an error.
        panicked: bool,
        /// The error, or the panic's message.
        message: String,
    },
    /// A server has stopped accepting at one of its addresses, because its socket no longer
    /// listens.
    AcceptFailed {
        /// The error.
        message: String,
    },
    /// An accept failed, usually because the process is out of descriptors. The listener continues
    /// after a pause. It reports this at most once a second.
    AcceptDelayed {
        /// The address of the listener, and the error.
        message: String,
    },
    /// A shard has failed, and restarts with a new runtime
    /// ([`OnFailure::Restart`](crate::shards::OnFailure::Restart)).
    ShardRestarted {
        /// The index of the shard.
        shard: usize,
        /// The error, or the panic's message.
        message: String,
        /// How long the shard waits before its closure is called again.
        delay: Duration,
    },
    /// The runtime ended before shielded futures did; they were dropped.
    ShieldedWorkLost {
        /// The number of shielded futures.
        count: usize,
    },
    /// The runtime ended before all that was written to buffered writers had been sent; the rest is
    /// lost.
    UnsentDataLost {
        /// The number of unsent batches, one or two for each writer.
        count: usize,
    },
    /// A [`ThreadBound`](crate::task::ThreadBound) was dropped on another thread after its runtime
    /// had ended. Its value is leaked, as only its own thread may drop it. The hook is called on
    /// that other thread.
    ThreadBoundLeaked {
        /// The type of the value.
        type_name: &'static str,
    },
    /// The limit of locked memory was too low for the ring that was requested, so it is smaller. It
    /// works, with more system calls under load.
    SmallerRing {
        /// How many SQEs the submission queue should have had.
        requested: u32,
        /// How many SQEs it has.
        granted: u32,
    },
    /// io_uring is unavailable, so this runtime, as all of this process that leave the choice to
    /// [`RingKind::Auto`](crate::RingKind::Auto), is on the portable ring. Reported once in a
    /// process.
    PortableRing {
        /// Why io_uring is unavailable, and what would make it available.
        reason: String,
    },
    /// There was not enough address space for the number of receive buffers that was requested, for
    /// [leases](crate::buf::Lease). Receives that find no free buffer allocate memory.
    FewerLeases {
        /// How many buffers were requested.
        requested: u16,
        /// How many there are.
        granted: u16,
        /// The size of each buffer, in bytes.
        bytes: usize,
    },
    /// [Registered buffers](crate::buf::RegisteredBuffers) could not be registered, mostly because
    /// of the limit of locked memory. They are used as ordinary memory: each operation costs the
    /// kernel a little more.
    BuffersNotRegistered {
        /// How many bytes the set has.
        bytes: usize,
        /// The kernel's error.
        message: String,
    },
    /// `io_uring_enter` has failed for a second, because memory or room for completions is short:
    /// nothing has been submitted meanwhile. The runtime keeps trying, and loses nothing. Reported
    /// once, until an enter succeeds.
    EnterRefused {
        /// How long it has failed.
        lasted: Duration,
        /// The kernel's error.
        message: String,
    },
    /// The runtime ended, but the kernel did not complete some operations in time. Their memory and
    /// descriptors are leaked on purpose, since the kernel may still use them.
    OperationsLeaked {
        /// The number of operations.
        count: usize,
    },
}

impl Incident {
    /// The name of this kind of incident, in the plural.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::TaskPanicked { .. } => "task panics",
            Self::CallbackPanicked { .. } => "waker or destructor panics",
            Self::HandlerFailed { .. } => "handler failures",
            Self::AcceptFailed { .. } => "listener failures",
            Self::AcceptDelayed { .. } => "accept failures",
            Self::ThreadNotStarted { .. } => "threads not started",
            Self::ShardRestarted { .. } => "restarts of shards",
            Self::ShieldedWorkLost { .. } => "losses of shielded work",
            Self::UnsentDataLost { .. } => "losses of unsent data",
            Self::ThreadBoundLeaked { .. } => "leaks of thread-bound values",
            Self::FewerLeases { .. } => "shortages of receive buffers",
            Self::BuffersNotRegistered { .. } => "sets of buffers that are not registered",
            Self::EnterRefused { .. } => "refusals of io_uring_enter",
            Self::SmallerRing { .. } => "smaller rings",
            Self::PortableRing { .. } => "portable rings",
            Self::OperationsLeaked { .. } => "operation leaks",
        }
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskPanicked { task, spawned_at, message } => {
                let name = task.as_deref().unwrap_or("unnamed");
                write!(
                    f,
                    "task '{name}' spawned at {spawned_at} panicked and was not joined: {message}"
                )
            }
            Self::CallbackPanicked { message } => {
                write!(f, "a waker or destructor panicked in the event loop: {message}")
            }
            Self::ThreadNotStarted { spawned_at, message } => {
                write!(
                    f,
                    "cannot start a thread for the closure spawned at {spawned_at}: {message}"
                )
            }
            Self::HandlerFailed { peer, panicked, message } => {
                let how = if *panicked { "panicked" } else { "failed" };
                match peer {
                    Some(peer) => {
                        write!(f, "the handler of the connection from {peer} {how}: {message}")
                    }
                    None => {
                        write!(f, "the handler of a Unix socket's connection {how}: {message}")
                    }
                }
            }
            Self::AcceptFailed { message } => {
                write!(f, "a server has stopped listening, because it cannot accept: {message}")
            }
            Self::AcceptDelayed { message } => {
                write!(f, "an accept failed and will be retried: {message}")
            }
            Self::ShardRestarted { shard, message, delay } => {
                write!(f, "shard {shard} has failed and restarts in {delay:?}: {message}")
            }
            Self::ShieldedWorkLost { count } => write!(
                f,
                "the runtime ended before {count} shielded futures, which were dropped; \
                 Builder::shield_timeout gives them more time"
            ),
            Self::UnsentDataLost { count } => write!(
                f,
                "the runtime ended before {count} batches of data written to stream writers were \
                 sent, and they are lost; Builder::flush_timeout gives them more time"
            ),
            Self::ThreadBoundLeaked { type_name } => write!(
                f,
                "a ThreadBound<{type_name}> was dropped on another thread after its runtime had \
                 ended: the value is leaked; drop it before, or on its own thread"
            ),
            Self::SmallerRing { requested, granted } => write!(
                f,
                "the limit of locked memory is too low: the ring has {granted} SQEs instead of \
                 {requested}; raise the limit with `ulimit -l` or LimitMEMLOCK="
            ),
            Self::PortableRing { reason } => write!(
                f,
                "the portable ring is used, which costs more: {reason}. RingKind::Portable, or \
                 ANNULUS_RING=portable in the environment, chooses it without this message"
            ),
            Self::FewerLeases { requested, granted, bytes } => write!(
                f,
                "there is address space for {granted} instead of {requested} receive buffers of \
                 {bytes} bytes: raise the limit with `ulimit -v` or LimitAS=, or request fewer with Builder::large_buffers and \
                 Builder::small_buffers"
            ),
            Self::BuffersNotRegistered { bytes, message } => write!(
                f,
                "{bytes} bytes of buffers are used without being registered: {message}; raise the \
                 limit of locked memory with `ulimit -l` or LimitMEMLOCK=, or request fewer"
            ),
            Self::EnterRefused { lasted, message } => write!(
                f,
                "io_uring_enter has failed for {lasted:.1?}, so nothing is submitted: {message}; free memory, or raise the memory limit of the process or its control group"
            ),
            Self::OperationsLeaked { count } => write!(
                f,
                "the runtime ended while {count} operations were still in the kernel: their memory \
                 and descriptors are leaked"
            ),
        }
    }
}

/// Receives incidents. It may be called during the teardown of a runtime.
pub(crate) type IncidentHook = Arc<dyn Fn(&Incident) + Send + Sync>;
