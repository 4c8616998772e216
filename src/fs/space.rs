//! The length of a file, the space that it takes, and how it will be used.

use std::future::Future;
use std::io;

use futures_util::FutureExt;
use futures_util::future::{Either, ready};

use super::File;
use super::off_loop::change_off_loop;
use super::positional::{is_beyond_files, no_such_offset};
use crate::error::Describe;
use crate::op::{Advise, Allocate, Op, SetLen};
use crate::sys::file as sys;

/// What [`File::allocate_with`] does to a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AllocateMode {
    /// Reserves space, and extends the file to the end of the range. Contents stay; what is new
    /// reads as zeros.
    Extend,
    /// Reserves space, also beyond the end of the file, whose length stays.
    #[doc(alias = "FALLOC_FL_KEEP_SIZE")]
    KeepSize,
    /// Releases the space of the range, which then reads as zeros. The length of the file stays.
    #[doc(alias = "FALLOC_FL_PUNCH_HOLE")]
    PunchHole,
    /// Has the range read as zeros, and reserves its space. Extends the file to the end of the
    /// range.
    #[doc(alias = "FALLOC_FL_ZERO_RANGE")]
    ZeroRange,
    /// Has the range read as zeros, and reserves its space. The length of the file stays.
    ZeroRangeKeepSize,
    /// Removes the range: what is behind it moves to its start. Whole blocks only.
    #[doc(alias = "FALLOC_FL_COLLAPSE_RANGE")]
    CollapseRange,
    /// Inserts a hole: what is at its start or behind moves to its end. Whole blocks only.
    #[doc(alias = "FALLOC_FL_INSERT_RANGE")]
    InsertRange,
}

impl AllocateMode {
    fn flags(self) -> i32 {
        match self {
            Self::Extend => 0,
            Self::KeepSize => sys::KEEP_SIZE,
            Self::PunchHole => sys::PUNCH_HOLE | sys::KEEP_SIZE,
            Self::ZeroRange => sys::ZERO_RANGE,
            Self::ZeroRangeKeepSize => sys::ZERO_RANGE | sys::KEEP_SIZE,
            Self::CollapseRange => sys::COLLAPSE_RANGE,
            Self::InsertRange => sys::INSERT_RANGE,
        }
    }
}

/// How a part of a file will be used, for [`File::advise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// In no particular way.
    Normal,
    /// From the start to the end: the kernel reads further ahead.
    Sequential,
    /// At random places: the kernel does not read ahead.
    Random,
    /// Soon: the kernel begins to read it into its page cache.
    WillNeed,
    /// No more: the kernel frees its pages in the cache, unless they are to be written. To free
    /// those, too, call [`File::sync_data`] first.
    DontNeed,
    /// Once.
    NoReuse,
}

impl Advice {
    fn number(self) -> i32 {
        match self {
            Self::Normal => sys::ADVICE_NORMAL,
            Self::Sequential => sys::ADVICE_SEQUENTIAL,
            Self::Random => sys::ADVICE_RANDOM,
            Self::WillNeed => sys::ADVICE_WILL_NEED,
            Self::DontNeed => sys::ADVICE_DONT_NEED,
            Self::NoReuse => sys::ADVICE_NO_REUSE,
        }
    }
}

impl File {
    /// Changes the length of the file: cuts it off, or extends it by a hole, which reads as zeros.
    ///
    /// The cursor stays where it is. From Linux 6.9 on it is an operation of the ring, which a
    /// kernel worker carries out; before, a call on a thread.
    ///
    /// # Errors
    ///
    /// The kernel's: `InvalidInput` if the file is not open for writing or is not a regular file,
    /// `FileTooLarge` for a length that the file system does not have.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may happen or not. Later operations of this file
    /// [wait for it](Self#dropped-writes).
    #[doc(alias = "ftruncate")]
    #[doc(alias = "truncate")]
    pub fn set_len(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        if is_beyond_files(length) {
            return Either::Right(Either::Left(ready(Err(no_such_offset()))));
        }
        if self.file.driver().capabilities().set_len {
            return Either::Left(Op::new(self.file.driver(), SetLen::new(&self.file, length)));
        }
        let change = change_off_loop(&self.file, move |fd| sys::set_len(fd, length));
        Either::Right(Either::Right(change.map(|changed| changed.describe("ftruncate"))))
    }

    /// Reserves space for `length` bytes from `offset` on, and extends the file to their end.
    ///
    /// Afterwards writes there do not fail for want of space. It is
    /// [`allocate_with`](Self::allocate_with) in the mode [`Extend`](AllocateMode::Extend).
    ///
    /// # Errors
    ///
    /// As for [`allocate_with`](Self::allocate_with).
    ///
    /// # Cancel safety
    ///
    /// As for [`allocate_with`](Self::allocate_with).
    #[doc(alias = "posix_fallocate")]
    pub fn allocate(
        &self,
        offset: u64,
        length: u64,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        self.allocate_with(AllocateMode::Extend, offset, length)
    }

    /// Reserves or releases space of a range, or moves what is behind it.
    ///
    /// It is an operation of the ring, which a kernel worker carries out.
    ///
    /// # Errors
    ///
    /// The kernel's: `Unsupported` for a mode that the file system does not have, `StorageFull`,
    /// `InvalidInput` for a length of zero or beyond `i64::MAX`, and an error without a kind
    /// (`EBADF`) if the file is not open for writing.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may happen in full, in part or not at all. Later operations of this file
    /// [wait for it](Self#dropped-writes).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::fs::{AllocateMode, File};
    ///
    /// annulus::run(async {
    ///     let path = std::env::temp_dir().join("annulus-allocate");
    ///     let file = File::create(&path).await?;
    ///     file.write_all_at(vec![7; 8192], 0).await.0?;
    ///     match file.allocate_with(AllocateMode::PunchHole, 0, 4096).await {
    ///         Ok(()) => assert_eq!(std::fs::read(&path)?[4095..4097], [0, 7]),
    ///         Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::Unsupported),
    ///     }
    ///     std::fs::remove_file(path)
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "fallocate")]
    pub fn allocate_with(
        &self,
        mode: AllocateMode,
        offset: u64,
        length: u64,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        if is_beyond_files(offset) || is_beyond_files(length) {
            return Either::Left(ready(Err(no_such_offset())));
        }
        let allocate = Allocate::new(&self.file, mode.flags(), offset, length);
        Either::Right(Op::new(self.file.driver(), allocate))
    }

    /// Tells the kernel how a range of the file will be used; `None` means up to its end.
    ///
    /// It is an operation of the ring. A kernel worker carries out
    /// [`WillNeed`](Advice::WillNeed) and [`DontNeed`](Advice::DontNeed).
    ///
    /// # Errors
    ///
    /// The kernel's, such as `NotSeekable` for a pipe; `InvalidInput` for offsets beyond
    /// `i64::MAX`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the kernel may have been told or not.
    #[doc(alias = "posix_fadvise")]
    pub fn advise(
        &self,
        advice: Advice,
        offset: u64,
        length: Option<u64>,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        let end = offset.checked_add(length.unwrap_or(0));
        match end {
            Some(end) if !is_beyond_files(end) => {}
            _ => return Either::Left(ready(Err(no_such_offset()))),
        }
        if length == Some(0) {
            // The kernel would take it for the end of the file.
            return Either::Left(ready(Ok(())));
        }
        let advise = Advise::new(&self.file, advice.number(), offset, length);
        Either::Right(Op::new(self.file.driver(), advise))
    }
}
