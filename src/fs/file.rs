//! An open file, what it is made of, and how it is converted and closed.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use super::cursor::Cursor;
use crate::driver::Driver;
use crate::op::{Descriptor, FileFd};
use crate::runtime::context;

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
/// the drop, and nothing waits if no write was dropped. The descriptor is closed when the last
/// operation has completed.
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
}

impl File {
    /// A file of a descriptor that has just been opened.
    pub(super) fn new(driver: &Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        Self { file: Rc::new(FileFd::new(driver, descriptor)), cursor: Cursor::default() }
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
