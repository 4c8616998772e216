//! A temporary directory.

use std::env::temp_dir;
use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::create_new;
use super::removal::{Kind, TempPath};
use crate::fs::remove_dir_all;

/// A directory with a random name, which is removed with all that is in it when this is dropped.
///
/// Its owner alone may use it (`0o700`).
///
/// # Drop
///
/// A thread removes the directory, so that the event loop does not wait; the end of the runtime
/// waits for it, within [`Builder::shield_timeout`](crate::Builder::shield_timeout). Where there is
/// no runtime, the thread that drops it removes it. A failure is not reported:
/// [`close`](Self::close) reports it. What ends the process at once (`process::exit`, a signal, an
/// abort) leaves the directory, and so does `mem::forget`. A forked child does not remove it.
///
/// # Example
///
/// ```
/// use annulus::fs::{self, TempDir};
///
/// annulus::run(async {
///     let directory = TempDir::new().await?;
///     fs::write(directory.path().join("file"), "text").await?;
///     let path = directory.path().to_owned();
///     directory.close().await?;
///     assert!(!fs::try_exists(path).await?);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "TemporaryDirectory")]
#[doc(alias = "mkdtemp")]
pub struct TempDir {
    path: TempPath,
}

impl TempDir {
    /// Creates a directory in the one for temporary files ([`std::env::temp_dir`]), on a thread.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `PermissionDenied` or `StorageFull`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the directory is removed.
    pub async fn new() -> io::Result<Self> {
        Self::new_in(temp_dir()).await
    }

    /// Creates a directory in another one.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`new`](Self::new).
    pub async fn new_in(directory: impl AsRef<Path>) -> io::Result<Self> {
        let create = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        let ((), path) = create_new(directory.as_ref(), Kind::Directory, create).await?;
        Ok(Self { path })
    }

    /// Returns the path, which is absolute.
    pub fn path(&self) -> &Path {
        self.path.path()
    }

    /// Keeps the directory, and returns its path.
    pub fn keep(self) -> PathBuf {
        self.path.keep()
    }

    /// Removes the directory and all that is in it, and waits for that.
    ///
    /// # Errors
    ///
    /// As for [`fs::remove_dir_all`](crate::fs::remove_dir_all). It is tried once more, without a
    /// report.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it is removed all the same.
    pub async fn close(self) -> io::Result<()> {
        remove_dir_all(self.path()).await?;
        self.path.keep();
        Ok(())
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl fmt::Debug for TempDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TempDir").field(&self.path()).finish()
    }
}
