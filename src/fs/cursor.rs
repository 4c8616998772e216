//! The cursor of a file: where the next read or write of a sequence goes.
//!
//! It is in user space. The kernel transfers at offsets, and the cursor moves when a transfer has
//! been awaited to its end: so a dropped one moves nothing, and what it would have read is read by
//! the next.
//!
//! Two kinds of files differ:
//!
//! - A file without offsets (a pipe, a terminal) has no cursor. What a dropped read has read is
//!   kept for the next.
//! - In a file that was opened with `append` the kernel chooses the offset of a write. Such a write
//!   uses and moves the position that the kernel keeps, which the cursor then takes over.

use std::io;

use crate::error::Describe;
use crate::op::FileFd;
use crate::sys::file::{appends, position};

/// Where the next read or write goes.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    place: Place,
    /// Whether the kernel chooses where a write goes; `None` until the first.
    appends: Option<bool>,
}

#[derive(Clone, Copy, Default)]
enum Place {
    /// Not used yet: it is where the kernel's position is.
    #[default]
    Unknown,
    At(u64),
    /// The file has no offsets.
    Stream,
}

/// Where a write goes.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Offset(u64),
    /// To the end of the file, which the kernel finds.
    End,
    Stream,
}

impl Cursor {
    /// The offset; `None` if the file has none.
    pub(super) fn offset(&mut self, file: &FileFd) -> io::Result<Option<u64>> {
        if let Place::Unknown = self.place {
            self.place = position(file.fd()?).describe("lseek")?.map_or(Place::Stream, Place::At);
        }
        Ok(match self.place {
            Place::At(offset) => Some(offset),
            _ => None,
        })
    }

    /// Moves to an offset.
    pub(super) fn set(&mut self, offset: u64) {
        self.place = Place::At(offset);
    }

    /// Moves behind a transfer from `offset` on.
    pub(super) fn advance(&mut self, offset: u64, count: usize) {
        self.set(offset.saturating_add(count as u64));
    }

    /// Where a write goes.
    pub(super) fn target(&mut self, file: &FileFd) -> io::Result<Target> {
        let Some(offset) = self.offset(file)? else { return Ok(Target::Stream) };
        if self.appends.is_none() {
            self.appends = Some(appends(file.fd()?).describe("fcntl")?);
        }
        Ok(if self.appends == Some(true) { Target::End } else { Target::Offset(offset) })
    }

    /// Moves to the position that the kernel keeps.
    pub(super) fn take_over(&mut self, file: &FileFd) -> io::Result<()> {
        self.place = Place::Unknown;
        self.offset(file).map(drop)
    }
}
