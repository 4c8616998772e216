//! An open file: how it is opened, converted and closed.

use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::rc::Rc;
use std::{fmt, io};

use super::OpenOptions;
use crate::driver::Driver;
use crate::op::{Descriptor, FileFd};
use crate::runtime::context;

/// An open file.
///
/// It is read and written at offsets ([`read_at`](Self::read_at), [`write_at`](Self::write_at) and
/// their kin), by any number of tasks at once.
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
}

impl File {
    /// A file of a descriptor that has just been opened.
    pub(super) fn new(driver: &Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        Self { file: Rc::new(FileFd::new(driver, descriptor)) }
    }

    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `NotFound`; `InvalidInput` for a path with a zero byte.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed.
    #[doc(alias = "O_RDONLY")]
    pub fn open<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> + use<P> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file to write it: creates it if it does not exist, and else makes it empty.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As for [`open`](Self::open); the file may have been created or emptied, or may be so a
    /// little later.
    pub fn create<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> + use<P> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Creates a file to read and write it.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open); `AlreadyExists` if there is one.
    ///
    /// # Panics
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As for [`create`](Self::create).
    pub fn create_new<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> + use<P> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Returns options to open a file with, as [`OpenOptions::new`] does.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
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
