//! Which faults a ring makes: the public settings.

use std::env;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::log::FaultLog;
use crate::error::SetupError;

/// The environment variable that names a seed, or a range of seeds.
const VARIABLE: &str = "ANNULUS_FAULTS";

/// Faults that a runtime makes on purpose, from a seed, to test what runs on it (feature `faults`).
///
/// A runtime with faults answers as a kernel *may* answer, but seldom does: transfers are short,
/// completions are late and in another order, cancels come too late, enters are refused.
/// [`FaultKind`] lists them all. No fault is one that the kernel could not make, none lasts for
/// ever, and none is an error that a program would see: a program that is right on the kernel is
/// right here. So a test that fails with one seed of a hundred has found a mistake, and the seed
/// repeats it.
///
/// Every decision depends on the seed and on the number of the SQE, enter or completion that it is
/// about, not on the time. So one seed makes the same decisions again, as far as the program
/// submits the same. Each seed makes some kinds often, some seldom and some never.
///
/// If the thread panics, the end of the runtime prints the seed, and the last that was done, to
/// standard error.
///
/// # Example
///
/// ```
/// use annulus::Builder;
/// use annulus::faults::Faults;
/// use annulus::net::{TcpListener, TcpStream};
///
/// for seed in 0..10 {
///     let runtime = Builder::new().faults(Faults::from_seed(seed)).build()?;
///     runtime.block_on(async {
///         let listener = TcpListener::bind("127.0.0.1:0").await?;
///         let mut client = TcpStream::connect(listener.local_addr()?).await?;
///         let (mut server, _) = listener.accept().await?;
///         client.write_all(vec![7; 10_000]).await.into_result()?;
///         // With a single `read` this would fail for some of the seeds.
///         let ((), bytes) = server.read_exact(vec![0; 10_000]).await.into_result()?;
///         assert!(bytes.iter().all(|&byte| byte == 7));
///         std::io::Result::Ok(())
///     })?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Faults {
    seed: u64,
    kinds: u32,
    log: FaultLog,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// Receives, sends, reads, writes and splices transfer less than they could.
    ShortTransfers,
    /// Receives, sends, reads, writes and accepts are interrupted (`EINTR`) before they begin.
    Interruptions,
    /// Completions come some turns of the event loop late.
    Delays,
    /// Completions that come in one turn come in another order.
    Reordering,
    /// Multishot accepts, receives and polls end, with the completion that they deliver.
    EarlyEnds,
    /// No provided buffer is left for a receive (`ENOBUFS`).
    NoBuffers,
    /// A cancel does not find its operation, or comes too late, or says so though it does not.
    LateCancels,
    /// The notification that the memory of a zero-copy send is free comes many turns late.
    LateNotifications,
    /// The kernel takes fewer SQEs than were queued.
    PartialSubmissions,
    /// The kernel takes the first SQEs of a chain in one batch, and the rest in the next.
    SplitChains,
    /// Enters are refused (`EAGAIN`, `ENOMEM`, `EBUSY`).
    RefusedEnters,
    /// The completion queue overflows, and an enter is needed for what found no room.
    Overflows,
    /// Waits end early, without a completion or interrupted by a signal (`EINTR`).
    EarlyReturns,
    /// The kernel is late to show that it has something to collect.
    LateSignals,
    /// Transfers for which a system call would do go through the ring.
    NoInlineCalls,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::ShortTransfers,
        Self::Interruptions,
        Self::Delays,
        Self::Reordering,
        Self::EarlyEnds,
        Self::NoBuffers,
        Self::LateCancels,
        Self::LateNotifications,
        Self::PartialSubmissions,
        Self::SplitChains,
        Self::RefusedEnters,
        Self::Overflows,
        Self::EarlyReturns,
        Self::LateSignals,
        Self::NoInlineCalls,
    ];
}

impl Faults {
    /// All kinds of faults, as often as the seed says.
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, kinds: u32::MAX, log: FaultLog::default() }
    }

    /// Only these kinds of faults.
    pub fn only(self, kinds: &[FaultKind]) -> Self {
        Self { kinds: bits(kinds), ..self }
    }

    /// All kinds of faults but these.
    pub fn without(self, kinds: &[FaultKind]) -> Self {
        Self { kinds: self.kinds & !bits(kinds), ..self }
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns what has been done so far by the runtimes that were made with this or its clones.
    pub fn log(&self) -> &FaultLog {
        &self.log
    }

    /// Returns whether faults of this kind may be made.
    pub fn has(&self, kind: FaultKind) -> bool {
        self.kinds & bits(&[kind]) != 0
    }

    /// The faults that the environment asks for: `ANNULUS_FAULTS` is a seed, or a range of seeds
    /// such as `0..100`, of which each call takes the next. `None` if it is not set.
    ///
    /// [`Builder::build`](crate::Builder::build) does this if no faults are set.
    ///
    /// # Errors
    ///
    /// [`SetupError::InvalidVariable`] if the variable is neither.
    pub fn from_env() -> Result<Option<Self>, SetupError> {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let Some(value) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let seeds = value.to_str().and_then(seeds).ok_or_else(|| SetupError::InvalidVariable {
            name: VARIABLE,
            value: value.to_string_lossy().into_owned(),
            expected: "a seed such as 42, or a range such as 0..100",
        })?;
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Self::from_seed(seeds.start + call % (seeds.end - seeds.start))))
    }
}

/// The seeds that a text names: a number, or two with `..` between.
fn seeds(text: &str) -> Option<Range<u64>> {
    let (first, end) = match text.split_once("..") {
        Some((first, end)) => (first.parse().ok()?, end.parse().ok()?),
        None => {
            let seed: u64 = text.parse().ok()?;
            (seed, seed.checked_add(1)?)
        }
    };
    Some(first..end).filter(|range| !range.is_empty())
}

fn bits(kinds: &[FaultKind]) -> u32 {
    kinds.iter().fold(0, |bits, &kind| bits | 1 << kind as u32)
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = FaultKind::ALL.iter().filter(|&&kind| self.has(kind)).collect();
        f.debug_struct("Faults").field("seed", &self.seed).field("kinds", &kinds).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_or_a_range_of_seeds_is_read_and_anything_else_refused() {
        assert_eq!(seeds("42"), Some(42..43));
        assert_eq!(seeds("3..9"), Some(3..9));
        for wrong in ["", "x", "9..3", "3..3", "3..", "-1", "1..=2"] {
            assert!(seeds(wrong).is_none(), "{wrong}");
        }
    }
}
