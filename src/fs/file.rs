//! An open file, what it is made of, and how it is converted and closed.

use std::cell::OnceCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use super::cursor::Cursor;
use super::file_lock::FileLock;
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::{Close, Descriptor, FileFd, Op};
use crate::runtime::context;
use crate::sys::file::seek;

/// An open file.
///
/// It is read and written at offsets ([`read_at`](Self::read_at), [`write_at`](Self::write_at) and
/// their kin), by any number of tasks at once; or from a cursor on, which moves
/// ([`read`](Self::read), [`write_all`](Self::write_all), [`seek`](Self::seek)). The cursor belongs
/// to this `File`, and begins where the kernel's position of the file is.
///
/// As a source of bytes it can be read by lines:
///
/// ```
/// use annulus::fs::File;
/// use annulus::io::StreamReader;
///
/// annulus::run(async {
///     let mut reader = StreamReader::new(File::open("Cargo.toml").await?);
///     assert_eq!(&*reader.read_line().await?, b"[workspace]\n");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Dropped writes
///
/// A write whose future is dropped may happen in full, in part or not at all, and the kernel may be
/// at it for a while: a cancel does not reach a device. Every later operation on the same `File`
/// waits for it: reads, writes and synchronisations find it either done or not. What waits is not
/// the drop, and nothing waits if no write was dropped.
///
/// # Closing
///
/// A dropped file is closed when the last operation on it has completed; without any on the spot,
/// by the thread of the event loop, as the standard library does it. That is quick on a local file
/// system. On a network file system it may wait until what was written is stored, and on any the
/// last close of a large file that has been removed frees its space: [`close`](Self::close) leaves
/// both to a kernel worker, and returns the error.
///
/// # Example
///
/// ```
/// use annulus::buf::BufResult;
/// use annulus::fs::File;
///
/// annulus::run(async {
///     let file = File::open("Cargo.toml").await?;
///     let BufResult(count, start) = file.read_at(Vec::with_capacity(11), 0).await;
///     assert_eq!(count?, 11);
///     assert_eq!(start, b"[workspace]");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct File {
    pub(super) file: Rc<FileFd>,
    pub(super) cursor: Cursor,
    /// Made when the file is locked or cloned.
    pub(super) lock: OnceCell<Rc<FileLock>>,
}

impl File {
    /// A file of a descriptor that has just been opened.
    pub(super) fn new(driver: &Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        let file = Rc::new(FileFd::new(driver, descriptor));
        Self { file, cursor: Cursor::default(), lock: OnceCell::new() }
    }

    /// A file of a descriptor that has just been opened with these flags.
    pub(super) fn opened(
        driver: &Rc<Driver>,
        descriptor: impl Into<Descriptor>,
        flags: i32,
    ) -> Self {
        let file = Self::new(driver, descriptor);
        file.file.note_flags(flags);
        file
    }

    /// What operations of other modules hold while they use the file.
    pub(crate) fn shared(&self) -> &Rc<FileFd> {
        &self.file
    }

    /// Takes over a file of the standard library.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn from_std(file: std::fs::File) -> Self {
        Self::from(OwnedFd::from(file))
    }

    /// Returns another handle of the same open file, for another owner.
    ///
    /// It has a cursor of its own, which begins where this one's is; the lock, and what was dropped
    /// in flight, are of both. It costs no descriptor and no call, and does not fail: the `Result`
    /// is that of the standard library.
    ///
    /// # Errors
    ///
    /// None.
    pub fn try_clone(&self) -> io::Result<Self> {
        let lock = OnceCell::from(Rc::clone(self.lock.get_or_init(Rc::default)));
        Ok(Self { file: Rc::clone(&self.file), cursor: self.cursor, lock })
    }

    /// Closes the file, and returns the error that the file system reports then: that data which it
    /// had taken could not be stored.
    ///
    /// A network file system stores what was written now at the latest; a kernel worker waits for
    /// it. A file that is dropped is closed on the spot, without a report. Waits for dropped writes
    /// first. While a clone or an operation uses the file, too, this reports the same, and the last
    /// of them closes it.
    ///
    /// That it succeeds does not mean that the data survives a crash: [`sync_all`](Self::sync_all)
    /// does.
    ///
    /// # Errors
    ///
    /// The kernel's. The file is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is closed without a report.
    pub async fn close(self) -> io::Result<()> {
        let Self { file, .. } = self;
        poll_fn(|context| file.poll_writes_drained(context)).await;
        let driver = Rc::clone(file.driver());
        let fd = file.into_fd()?;
        Op::new(&driver, Close::new(&driver, fd)).await
    }

    /// Takes the file out of the runtime, with its position where the cursor is.
    ///
    /// Waits for dropped operations first, also for a dropped [`lock`](Self::lock). Its lock stays.
    /// If a clone or an operation uses the file, too, the descriptor is duplicated.
    ///
    /// # Errors
    ///
    /// The system's if it has no more descriptors; an error if the file is a pipe and a dropped
    /// read has left bytes, which the standard library's file would not return: read them first.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is closed.
    pub async fn into_std(mut self) -> io::Result<std::fs::File> {
        poll_fn(|context| self.file.poll_writes_drained(context)).await;
        poll_fn(|context| self.file.poll_reads_drained(context)).await;
        if let Some(lock) = self.lock.get() {
            lock.end_of_requests().await;
        }
        if self.file.unread_bytes() > 0 {
            let text = "a dropped read has left bytes that would be lost: read them first";
            return Err(io::Error::other(text));
        }
        let offset = self.cursor.offset(&self.file)?;
        let fd = self.file.into_fd()?;
        if let Some(offset) = offset {
            seek(&fd, SeekFrom::Start(offset)).describe("lseek")?;
        }
        Ok(fd.into())
    }
}

/// Takes over a descriptor.
///
/// # Panics
///
/// If there is no runtime on this thread.
impl From<OwnedFd> for File {
    #[track_caller]
    fn from(fd: OwnedFd) -> Self {
        Self::new(&context::driver(), fd)
    }
}

/// Takes over a file of the standard library, as [`File::from_std`] does.
impl From<std::fs::File> for File {
    #[track_caller]
    fn from(file: std::fs::File) -> Self {
        Self::from_std(file)
    }
}

/// # Panics
///
/// If the file is a direct descriptor, and the process has no more descriptors.
impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.fd().unwrap_or_else(|error| panic!("{error}")).as_fd()
    }
}

/// # Panics
///
/// If the file is a direct descriptor, and the process has no more descriptors.
impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("fd", &self.file.descriptor().fd_if_open().map(AsRawFd::as_raw_fd))
            .finish()
    }
}
