//! What to watch for.

use std::ops::BitOr;

use crate::sys::inotify::{
    IN_ACCESS, IN_ATTRIB, IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF,
    IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MODIFY, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO,
    IN_ONLYDIR, IN_OPEN,
};

/// What to watch a file or directory for.
///
/// # Example
///
/// ```
/// use annulus::fs::WatchFor;
///
/// let new_files = WatchFor::CREATED | WatchFor::MOVED | WatchFor::ONLY_DIRECTORY;
/// assert_ne!(new_files, WatchFor::CHANGES);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchFor(u32);

impl WatchFor {
    /// An entry was created in the directory.
    pub const CREATED: Self = Self(IN_CREATE);
    /// A file was written or truncated.
    pub const MODIFIED: Self = Self(IN_MODIFY);
    /// Metadata changed: permissions, times, owner, the number of links.
    pub const ATTRIBUTES: Self = Self(IN_ATTRIB);
    /// A file that was open for writing was closed.
    pub const CLOSED_AFTER_WRITE: Self = Self(IN_CLOSE_WRITE);
    /// A file or directory that was not open for writing was closed.
    pub const CLOSED_UNWRITTEN: Self = Self(IN_CLOSE_NOWRITE);
    /// A file or directory was opened.
    pub const OPENED: Self = Self(IN_OPEN);
    /// A file was read.
    pub const ACCESSED: Self = Self(IN_ACCESS);
    /// An entry was moved into the directory, out of it, or within it.
    pub const MOVED: Self = Self(IN_MOVED_FROM | IN_MOVED_TO);
    /// An entry of the directory was deleted.
    pub const DELETED: Self = Self(IN_DELETE);
    /// What is watched was itself deleted.
    pub const SELF_DELETED: Self = Self(IN_DELETE_SELF);
    /// What is watched was itself moved.
    pub const SELF_MOVED: Self = Self(IN_MOVE_SELF);
    /// Everything that changes contents or names: all but opening, reading and closing unwritten.
    pub const CHANGES: Self = Self(
        IN_CREATE
            | IN_MODIFY
            | IN_ATTRIB
            | IN_CLOSE_WRITE
            | IN_MOVED_FROM
            | IN_MOVED_TO
            | IN_DELETE
            | IN_DELETE_SELF
            | IN_MOVE_SELF,
    );
    /// A condition: fails with `NotADirectory` if the path is none.
    pub const ONLY_DIRECTORY: Self = Self(IN_ONLYDIR);
    /// A condition: a symbolic link is watched itself, and not followed.
    pub const NO_FOLLOW: Self = Self(IN_DONT_FOLLOW);
    /// A condition: entries that were deleted while they are open are no longer reported.
    pub const NO_UNLINKED: Self = Self(IN_EXCL_UNLINK);

    pub(super) fn mask(self) -> u32 {
        self.0
    }

    /// Whether it includes all of another.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for WatchFor {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
