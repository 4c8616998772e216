//! The error of a link that was not carried out.

use std::error::Error;
use std::{fmt, io};

/// Why an operation of a chain has no result of its own.
///
/// It is inside of the [`io::Error`] that the operation reports; [`NotRun::of`] finds it there.
///
/// # Example
///
/// ```
/// use annulus::buf::BufResult;
/// use annulus::fs::{File, NotRun, chain::Reason};
///
/// annulus::run(async {
///     // Opened to read: the write fails.
///     let file = File::open("Cargo.toml").await?;
///     let chain = file.chain().write_at("text", 0).sync_data();
///     let (BufResult(written, _), synced) = chain.run().await;
///     assert!(NotRun::of(&written.unwrap_err()).is_none());
///     let error = synced.unwrap_err();
///     let not_run = NotRun::of(&error).unwrap();
///     assert_eq!((not_run.link(), not_run.reason()), (0, Reason::Failed));
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRun {
    link: usize,
    reason: Reason,
}

/// What an earlier operation of the chain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It failed, or was cancelled. What follows it was not begun.
    Failed,
    /// It transferred fewer bytes than it was to. What follows it was not begun.
    Short,
    /// The kernel, short of memory, has taken the chain in two parts, of which it was the end of
    /// the first. What follows it may have been carried out, and perhaps too early.
    Split,
}

impl NotRun {
    pub(super) fn new(link: usize, reason: Reason) -> Self {
        Self { link, reason }
    }

    /// Finds it in the error of an operation.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// Returns which operation of the chain is the reason; the first is 0.
    #[must_use]
    pub fn link(&self) -> usize {
        self.link
    }

    /// Returns what that operation did.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link;
        match self.reason {
            Reason::Failed => write!(f, "not carried out: operation {link} of the chain failed"),
            Reason::Short => {
                write!(f, "not carried out: operation {link} of the chain was short")
            }
            Reason::Split => write!(
                f,
                "perhaps carried out too early: the kernel, short of memory, split the chain after \
                 operation {link}"
            ),
        }
    }
}

impl Error for NotRun {}

impl From<NotRun> for io::Error {
    fn from(not_run: NotRun) -> Self {
        Self::other(not_run)
    }
}
