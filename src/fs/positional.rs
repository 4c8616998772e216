//! Reading and writing at offsets, and making it durable.

use std::future::Future;
use std::io;

use futures_util::FutureExt;
use futures_util::future::{Either, ready};

use super::File;
use super::chain::{Write, WriteAll, Writing};
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::op::{Op, ReadAt, SharedSync, WriteAt};

impl File {
    /// Reads from an offset in bytes: at most the buffer's capacity; zero bytes at the end of the
    /// file, or if the buffer has no capacity.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` for an offset beyond `i64::MAX`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect. The buffer is lost. (Of a pipe, which has no offsets, the bytes
    /// are lost, too.)
    #[doc(alias = "pread")]
    pub fn read_at<B: IoBufMut>(
        &self,
        buffer: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        if is_beyond_files(offset) {
            return Either::Left(ready(BufResult(Err(no_such_offset()), buffer)));
        }
        Either::Right(Op::new(self.file.driver(), ReadAt::new(&self.file, buffer, offset)))
    }

    /// Fills a buffer from an offset in bytes.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before; the buffer then has what was read. Otherwise as for
    /// [`read_at`](Self::read_at).
    ///
    /// # Cancel safety
    ///
    /// As for [`read_at`](Self::read_at).
    pub fn read_exact_at<B: IoBufMut>(
        &self,
        buffer: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + use<B> {
        if let Some(known) = known_without_kernel(offset, buffer.bytes_total()) {
            return Either::Left(ready(BufResult(known, buffer)));
        }
        let exact = Op::new(self.file.driver(), ReadAt::exact(&self.file, buffer, offset));
        Either::Right(exact.map(|read| read.map(drop)))
    }

    /// Writes a buffer to an offset in bytes, perhaps not all of it, and returns how many bytes.
    ///
    /// In a file that was opened with [`append`](super::OpenOptions::append) the bytes go to the
    /// end of the file, wherever the offset is.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `StorageFull` or `FileTooLarge`; `InvalidInput` for an offset beyond
    /// `i64::MAX`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the write may happen in full, in part or not at all. Later operations of this file
    /// [wait for it](Self#dropped-writes).
    ///
    /// # Example
    ///
    /// [`then_sync_data`](Write::then_sync_data) links a synchronisation to it: both are then one
    /// submission.
    ///
    /// ```
    /// use annulus::fs::File;
    ///
    /// annulus::run(async {
    ///     let path = std::env::temp_dir().join("annulus-write-at");
    ///     let file = File::create(&path).await?;
    ///     let count = file.write_at("durable", 0).then_sync_data().await.0?;
    ///     assert_eq!(count, 7);
    ///     std::fs::remove_file(path)
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "pwrite")]
    pub fn write_at<B: IoBuf>(&self, buffer: B, offset: u64) -> Write<B> {
        Write::new(if is_beyond_files(offset) {
            Writing::known(&self.file, Err(no_such_offset()), buffer)
        } else {
            Writing::new(&self.file, WriteAt::new(&self.file, buffer, offset))
        })
    }

    /// Writes all of a buffer to an offset in bytes.
    ///
    /// # Errors
    ///
    /// As for [`write_at`](Self::write_at); a part may have been written.
    ///
    /// # Cancel safety
    ///
    /// As for [`write_at`](Self::write_at).
    pub fn write_all_at<B: IoBuf>(&self, buffer: B, offset: u64) -> WriteAll<B> {
        WriteAll::new(match known_without_kernel(offset, buffer.bytes_init()) {
            Some(known) => Writing::known(&self.file, known, buffer),
            None => Writing::new(&self.file, WriteAt::all(&self.file, buffer, offset)),
        })
    }

    /// Writes all of a buffer to the end of the file.
    ///
    /// The kernel finds the end (`RWF_APPEND`), so that what several tasks and processes append
    /// does not overlap. It takes the buffer in one piece, unless it has no room for all: then the
    /// rest follows in further pieces, and what others append may come between.
    ///
    /// # Errors
    ///
    /// As for [`write_at`](Self::write_at); a part may have been appended.
    ///
    /// # Cancel safety
    ///
    /// As for [`write_at`](Self::write_at).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::fs::File;
    ///
    /// annulus::run(async {
    ///     let path = std::env::temp_dir().join("annulus-append");
    ///     let log = File::create(&path).await?;
    ///     log.append("one\n").await.0?;
    ///     log.append("two\n").await.0?;
    ///     log.sync_data().await?;
    ///     assert_eq!(std::fs::read(&path)?, b"one\ntwo\n");
    ///     std::fs::remove_file(path)
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "RWF_APPEND")]
    pub fn append<B: IoBuf>(&self, buffer: B) -> WriteAll<B> {
        WriteAll::new(if buffer.bytes_init() == 0 {
            Writing::known(&self.file, Ok(()), buffer)
        } else {
            Writing::new(&self.file, WriteAt::append(&self.file, buffer))
        })
    }

    /// Makes everything that has been written durable, data and metadata. Waits for dropped writes
    /// first.
    ///
    /// Tasks that synchronise this file, or a [clone](Self::try_clone), at the same time share
    /// calls of the kernel: while eight are under way further tasks wait, and the next call is for
    /// all that wait by then.
    ///
    /// # Errors
    ///
    /// The kernel's. It tells one of the calls in flight that data was lost, so all callers that
    /// wait at that time return the error, whichever of them wrote the data. What an error means
    /// for the data is a matter of the file system: it may be lost, and a second call may succeed
    /// all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the data may be durable or not.
    #[doc(alias = "fsync")]
    pub fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<> {
        SharedSync::all(&self.file)
    }

    /// Makes the data durable, and what is needed to read it.
    ///
    /// As [`sync_all`](Self::sync_all), without the rest of the metadata, such as times.
    ///
    /// # Errors
    ///
    /// As for [`sync_all`](Self::sync_all).
    ///
    /// # Cancel safety
    ///
    /// As for [`sync_all`](Self::sync_all).
    #[doc(alias = "fdatasync")]
    pub fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<> {
        SharedSync::data(&self.file)
    }
}

/// The kernel takes such an offset for the file's own position.
pub(super) fn is_beyond_files(offset: u64) -> bool {
    i64::try_from(offset).is_err()
}

pub(super) fn no_such_offset() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no file has an offset beyond i64::MAX")
}

/// The outcome of a transfer of all of `length` bytes, where the kernel is not needed for it.
pub(super) fn known_without_kernel(offset: u64, length: usize) -> Option<io::Result<()>> {
    if is_beyond_files(offset) {
        Some(Err(no_such_offset()))
    } else {
        (length == 0).then_some(Ok(()))
    }
}
