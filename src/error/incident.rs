//! What nobody would hear of otherwise: it goes to a hook.

use std::fmt;
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Something that went wrong where no caller could be told.
///
/// [`Builder::on_incident`](crate::Builder::on_incident) takes the hook that receives these. The
/// default prints them to standard error from a thread of its own, at most ten a second of each
/// kind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Incident {
    /// A task panicked, and whoever could have joined it is gone.
    TaskPanicked {
        /// The task's name, if it was given one.
        task: Option<Arc<str>>,
        /// Where it was spawned.
        spawned_at: &'static Location<'static>,
        /// The panic's message.
        message: String,
    },
    /// A waker, or the destructor of a buffer or a result, panicked inside the runtime's loop, or when
    /// something that another task did woke it.
    CallbackPanicked {
        /// The panic's message.
        message: String,
    },
    /// A closure for a thread has not run, since the system let start none, and no caller waited for
    /// it.
    ThreadNotStarted {
        /// Where it was handed over.
        spawned_at: &'static Location<'static>,
        /// The system's error.
        message: String,
    },
    /// The handler of a server's connection has failed. The server goes on. An error that says no
    /// more than that the peer is gone is no incident: it is counted in
    /// [`Metrics::peer_disconnects`](crate::Metrics::peer_disconnects).
    HandlerFailed {
        /// Whose connection it was.
        peer: SocketAddr,
        /// Whether it panicked; if not, it has returned an error.
        panicked: bool,
        /// The error, or the panic's message.
        message: String,
    },
    /// A server can accept no more at one of its addresses, as its listening socket is not one any
    /// more.
    AcceptFailed {
        /// The error.
        message: String,
    },
    /// An accept has failed, mostly because descriptors have run out. The listener goes on after a
    /// pause. A listener reports this at most once a second.
    AcceptDelayed {
        /// The address that it listens on, and the error.
        message: String,
    },
    /// The runtime ended, and shielded work was not done in time.
    ShieldedCut {
        /// How many shielded futures.
        count: usize,
    },
    /// The runtime ended, and what had been written to buffered writers was not sent in time: it is
    /// lost.
    UnsentCut {
        /// How many batches of bytes, one or two for each writer.
        count: usize,
    },
    /// Locked memory was short, so the ring was made smaller than asked for. It works, with more
    /// system calls under load.
    SmallerRing {
        /// Submission entries that were asked for.
        asked: u32,
        /// Submission entries that the ring has.
        got: u32,
    },
    /// There was no memory to reserve for as many [leases](crate::buf::Lease) as asked for: the address
    /// space of the process is limited, or all together they are too large. Receives that find no buffer
    /// take memory of their own.
    FewerLeases {
        /// How many buffers were asked for.
        asked: u16,
        /// How many there are.
        got: u16,
        /// How many bytes each has.
        bytes: usize,
    },
    /// The kernel has refused to be entered for a second, for want of memory or of room for
    /// completions: nothing has been submitted meanwhile. The runtime goes on trying, and loses
    /// nothing. Reported once, until an enter succeeds.
    EntersRefused {
        /// For how long.
        lasted: Duration,
        /// The kernel's answer.
        message: String,
    },
    /// The runtime ended, but the kernel did not let go of some operations in time. The memory and
    /// the descriptors that they use are leaked on purpose.
    OperationsLeaked {
        /// How many operations.
        count: usize,
    },
}

impl Incident {
    /// What incidents of this kind are, in the plural.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::TaskPanicked { .. } => "panics of tasks",
            Self::CallbackPanicked { .. } => "panics of callbacks",
            Self::HandlerFailed { .. } => "failures of handlers",
            Self::AcceptFailed { .. } => "ends of listeners",
            Self::AcceptDelayed { .. } => "failures of accepts",
            Self::ThreadNotStarted { .. } => "threads that did not start",
            Self::ShieldedCut { .. } => "cuts of shielded work",
            Self::UnsentCut { .. } => "losses of what was written",
            Self::FewerLeases { .. } => "lacks of leases",
            Self::EntersRefused { .. } => "refusals of enters",
            Self::SmallerRing { .. } => "small rings",
            Self::OperationsLeaked { .. } => "leaks of operations",
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
                    "task '{name}' spawned at {spawned_at} panicked and nobody joined it: {message}"
                )
            }
            Self::CallbackPanicked { message } => {
                write!(f, "a waker or destructor panicked in the runtime's loop: {message}")
            }
            Self::ThreadNotStarted { spawned_at, message } => {
                write!(f, "no thread for the closure spawned at {spawned_at}: {message}")
            }
            Self::HandlerFailed { peer, panicked, message } => {
                let how = if *panicked { "panicked" } else { "failed" };
                write!(f, "the handler of the connection from {peer} {how}: {message}")
            }
            Self::AcceptFailed { message } => {
                write!(f, "a server stops listening, as it can accept no more: {message}")
            }
            Self::AcceptDelayed { message } => {
                write!(f, "an accept has failed and is tried again: {message}")
            }
            Self::ShieldedCut { count } => write!(
                f,
                "the runtime ended before {count} shielded futures did: they are cut; \
                 Builder::shield_limit gives them more time"
            ),
            Self::UnsentCut { count } => write!(
                f,
                "the runtime ended before {count} pieces of what was written to its stream writers \
                 were sent: they are lost; Builder::flush_limit gives them more time"
            ),
            Self::SmallerRing { asked, got } => write!(
                f,
                "locked memory is short: the ring has {got} submission entries instead of {asked}; \
                 raise the limit with `ulimit -l` or LimitMEMLOCK="
            ),
            Self::FewerLeases { asked, got, bytes } => write!(
                f,
                "there is address space for {got} instead of {asked} receive buffers of {bytes} bytes: \
                 raise the limit with `ulimit -v` or LimitAS=, or ask for fewer by Builder::leases and \
                 Builder::small_leases"
            ),
            Self::EntersRefused { lasted, message } => write!(
                f,
                "the kernel has refused io_uring_enter for {lasted:.1?}, so nothing is submitted: \
                 {message}; free memory, or raise the memory limit of the process or its control group"
            ),
            Self::OperationsLeaked { count } => write!(
                f,
                "the runtime ended while {count} operations were still in the kernel: their memory \
                 is leaked"
            ),
        }
    }
}

/// Receives incidents. It may be called while a runtime is torn down.
pub(crate) type IncidentHook = Arc<dyn Fn(&Incident) + Send + Sync>;
