//! What a watcher reports.

use std::ffi::{OsStr, OsString};

/// Names a watch of a [`Watcher`](super::Watcher). It is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId {
    /// Its number among all that the watcher has made.
    pub(super) serial: u64,
    /// The kernel's name of it, which the kernel uses again one day.
    pub(super) number: i32,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Watched {
    /// The watch that has reported it.
    pub watch: WatchId,
    /// The entry of the watched directory; `None` if it is what is watched itself.
    pub name: Option<OsString>,
    /// Whether it is a directory.
    pub is_dir: bool,
}

impl Watched {
    /// The entry of the watched directory; empty if it is what is watched itself.
    pub fn name(&self) -> &OsStr {
        self.name.as_deref().unwrap_or_default()
    }
}

/// What has happened to something that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchEvent {
    /// An entry was created, or a link to it made.
    Created(Watched),
    /// A file was written or truncated.
    Modified(Watched),
    /// Metadata changed.
    Attributes(Watched),
    /// A file that was open for writing was closed.
    ClosedAfterWrite(Watched),
    /// A file or directory that was not open for writing was closed.
    ClosedUnwritten(Watched),
    /// A file or directory was opened.
    Opened(Watched),
    /// A file was read.
    Accessed(Watched),
    /// An entry was moved from one place to another, both of which are watched.
    Moved {
        /// What it was.
        from: Watched,
        /// What it is now.
        to: Watched,
    },
    /// An entry was moved to a place that is not watched.
    MovedAway(Watched),
    /// An entry was moved here from a place that is not watched.
    MovedHere(Watched),
    /// An entry was deleted.
    Deleted(Watched),
    /// What is watched was itself deleted. [`Unwatched`](Self::Unwatched) follows.
    SelfDeleted(WatchId),
    /// What is watched was itself moved. It is still watched.
    SelfMoved(WatchId),
    /// The file system of what is watched was unmounted. [`Unwatched`](Self::Unwatched) follows.
    Unmounted(WatchId),
    /// The watch has ended, and reports no more: it was removed, or what it watched is gone.
    Unwatched(WatchId),
    /// Events were lost, since more happened than the kernel queues
    /// (`/proc/sys/fs/inotify/max_queued_events`): look at everything anew.
    Overflow,
}
