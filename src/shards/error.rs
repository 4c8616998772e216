//! Why the shards did not run, or did not run to their end.

use std::{error, fmt, io};

use super::cpu_list::CpuList;
use crate::error::SetupError;
use crate::runtime::Interrupted;

/// Why the shards have no results.
///
/// Returned by [`ShardsBuilder::run`](crate::shards::ShardsBuilder::run).
///
/// # Example
///
/// ```
/// use std::future::pending;
/// use annulus::Shards;
/// use annulus::shards::ShardsError;
///
/// let result = Shards::builder().count(2).run(async |shard| {
///     if shard.index() == 1 {
///         shard.handle(0).stop();
///     } else {
///         pending::<()>().await;
///     }
/// });
/// let Err(ShardsError::Cancelled { shards, failure: None }) = result else { panic!() };
/// assert_eq!(shards, [0]);
/// ```
#[non_exhaustive]
pub enum ShardsError {
    /// The system refused to start the thread of a shard.
    Thread {
        /// The index of the shard.
        shard: usize,
        /// The system's error.
        error: io::Error,
    },
    /// The system refused to have a shard run on its CPU.
    Pin {
        /// The index of the shard.
        shard: usize,
        /// The CPU, or those of which the shard may use any.
        cpus: CpuList,
        /// The system's error.
        error: io::Error,
    },
    /// The system does not tell which CPUs the process may use.
    Cpus(io::Error),
    /// The runtime of a shard could not be created, at the start or for a restart.
    Setup {
        /// The index of the shard.
        shard: usize,
        /// Why, and what to do.
        error: SetupError,
    },
    /// The closures of some shards were cancelled, so that they have no results: after another
    /// shard has failed ([`OnFailure::Stop`](crate::shards::OnFailure::Stop)), or by
    /// [`Handle::stop`](crate::Handle::stop), also of a shard that was about to restart.
    Cancelled {
        /// The indices of those shards.
        shards: Vec<usize>,
        /// The index of the first shard that has failed, and why, if one has.
        failure: Option<(usize, String)>,
    },
    /// Ctrl-c has cancelled the closures
    /// ([`Builder::cancel_on_ctrl_c`](crate::Builder::cancel_on_ctrl_c)).
    Interrupted(Interrupted),
}

impl ShardsError {
    /// The index of the shard that could not start or has failed, if it was one.
    pub fn shard(&self) -> Option<usize> {
        match self {
            Self::Thread { shard, .. } | Self::Pin { shard, .. } | Self::Setup { shard, .. } => {
                Some(*shard)
            }
            Self::Cancelled { failure, .. } => failure.as_ref().map(|(shard, _)| *shard),
            Self::Cpus(_) | Self::Interrupted(_) => None,
        }
    }
}

impl fmt::Display for ShardsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread { shard, error } => write!(
                f,
                "cannot start the thread of shard {shard}: {error}; raise the limit of threads \
                 (`ulimit -u`, or TasksMax= of a service), or run fewer shards"
            ),
            Self::Pin { shard, cpus, error } => {
                write!(f, "cannot pin shard {shard} to CPU {cpus}: {error}")?;
                match CpuList::allowed() {
                    Ok(allowed) => write!(f, "; this process may use CPUs {allowed}"),
                    Err(_) => Ok(()),
                }
            }
            Self::Cpus(error) => write!(
                f,
                "cannot pin shards: sched_getaffinity: {error}; name the CPUs with \
                 ShardsBuilder::cpus, or do not pin"
            ),
            Self::Setup { shard, error } => write!(f, "cannot start shard {shard}: {error}"),
            Self::Cancelled { shards, failure } => {
                let list: Vec<_> = shards.iter().map(ToString::to_string).collect();
                let list = list.join(", ");
                match failure {
                    Some((shard, message)) => {
                        write!(f, "shard {shard} has failed: {message}; cancelled shards: {list}")
                    }
                    None => write!(f, "the closures of these shards were cancelled: {list}"),
                }
            }
            Self::Interrupted(interrupted) => fmt::Display::fmt(interrupted, f),
        }
    }
}

// It prints the message: it is what a `main` that returns this error shows.
impl fmt::Debug for ShardsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for ShardsError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Thread { error, .. } | Self::Pin { error, .. } | Self::Cpus(error) => Some(error),
            Self::Setup { error, .. } => Some(error),
            Self::Interrupted(interrupted) => Some(interrupted),
            Self::Cancelled { .. } => None,
        }
    }
}

impl From<ShardsError> for io::Error {
    fn from(error: ShardsError) -> Self {
        let kind = match &error {
            ShardsError::Thread { error, .. }
            | ShardsError::Pin { error, .. }
            | ShardsError::Cpus(error) => error.kind(),
            ShardsError::Setup { error, .. } => error.kind(),
            ShardsError::Interrupted(_) => io::ErrorKind::Interrupted,
            ShardsError::Cancelled { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
