//! Opening a file, in the ways that need no options.

use std::future::Future;
use std::io;
use std::path::Path;

use super::{File, OpenOptions};

impl File {
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
}
