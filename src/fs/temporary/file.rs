//! A temporary file with a name.

use std::env::temp_dir;
use std::error::Error;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::create_new;
use super::removal::{Kind, TempPath};
use crate::fs::{File, RenameOptions, remove_file, rename_with};

/// A file with a random name, which is removed when this is dropped.
///
/// It is open to be read and written, and its owner alone may open it (`0o600`). For a file without
/// a name, which even a crash removes, see
/// [`OpenOptions::temporary`](crate::fs::OpenOptions::temporary).
///
/// # Drop
///
/// The file is closed, and a thread removes the name, so that the event loop does not wait; the end
/// of the runtime waits for it, within
/// [`Builder::shield_timeout`](crate::Builder::shield_timeout). Where there is no runtime, the
/// thread that drops it removes it. A failure is not reported: [`close`](Self::close) reports it.
/// What ends the process at once (`process::exit`, a signal, an abort) leaves the file, and so does
/// `mem::forget`. A forked child does not remove it.
///
/// # Example
///
/// ```
/// use annulus::fs::{self, TempFile};
///
/// annulus::run(async {
///     // On the file system of the target.
///     let target = std::env::temp_dir().join("annulus-temp-file");
///     let file = TempFile::new_in(target.parent().unwrap()).await?;
///     file.write_all_at("complete", 0).await.0?;
///     file.sync_all().await?;
///     // Readers find the old content or the new one.
///     file.persist(&target).await?;
///     assert_eq!(fs::read_to_string(&target).await?, "complete");
///     fs::remove_file(&target).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "NamedTempFile")]
#[doc(alias = "NamedTemporaryFile")]
#[doc(alias = "mkstemp")]
pub struct TempFile {
    file: File,
    path: TempPath,
}

impl TempFile {
    /// Creates a file in the directory for temporary files ([`std::env::temp_dir`]), on a thread.
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
    /// Dropped, the file is removed.
    pub async fn new() -> io::Result<Self> {
        Self::new_in(temp_dir()).await
    }

    /// Creates a file in a directory.
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
        let create = |path: &Path| {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600).open(path)
        };
        let (file, path) = create_new(directory.as_ref(), Kind::File, create).await?;
        Ok(Self { file: File::from_std(file), path })
    }

    /// Returns the path, which is absolute.
    pub fn path(&self) -> &Path {
        self.path.path()
    }

    /// Gives the file a name that stays, and replaces a file that has it. Both must be on one file
    /// system.
    ///
    /// It is not durable by that: synchronise the file before, and its directory after
    /// ([`Dir::sync_all`](crate::fs::Dir::sync_all)).
    ///
    /// # Errors
    ///
    /// As for [`fs::rename`](fn@crate::fs::rename). The error has the file, which is still
    /// temporary.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file has its new name, or is removed.
    pub async fn persist(self, path: impl AsRef<Path>) -> Result<File, PersistError> {
        self.persist_with(path.as_ref(), RenameOptions::replace()).await
    }

    /// Like [`persist`](Self::persist), but replaces no file.
    ///
    /// Fails with `AlreadyExists` if there is a file that has the name.
    ///
    /// # Errors
    ///
    /// As for [`persist`](Self::persist).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`persist`](Self::persist).
    pub async fn persist_noclobber(self, path: impl AsRef<Path>) -> Result<File, PersistError> {
        self.persist_with(path.as_ref(), RenameOptions::no_replace()).await
    }

    async fn persist_with(self, path: &Path, options: RenameOptions) -> Result<File, PersistError> {
        match rename_with(self.path.path(), path, options).await {
            Ok(()) => {
                self.path.keep();
                Ok(self.file)
            }
            Err(error) => Err(PersistError { error, file: self }),
        }
    }

    /// Keeps the file under its name.
    pub fn keep(self) -> (File, PathBuf) {
        (self.file, self.path.keep())
    }

    /// Closes the file and removes it, and waits for both. A kernel worker frees the space of a
    /// large file, where a clone does not keep it open.
    ///
    /// # Errors
    ///
    /// As for [`fs::remove_file`](crate::fs::remove_file).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it is removed all the same.
    pub async fn close(self) -> io::Result<()> {
        let Self { file, path } = self;
        // First, so that the removal frees the space. What could not be stored is not wanted.
        let _ = file.close().await;
        remove_file(path.path()).await?;
        path.keep();
        Ok(())
    }
}

impl Deref for TempFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl DerefMut for TempFile {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.file
    }
}

impl fmt::Debug for TempFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TempFile").field("path", &self.path()).field("file", &self.file).finish()
    }
}

/// A temporary file could not be given a name that stays.
#[derive(Debug)]
#[non_exhaustive]
pub struct PersistError {
    /// Why.
    pub error: io::Error,
    /// The file, which is still temporary.
    pub file: TempFile,
}

impl fmt::Display for PersistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl Error for PersistError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Drops the file, so it is removed.
impl From<PersistError> for io::Error {
    fn from(error: PersistError) -> Self {
        error.error
    }
}
