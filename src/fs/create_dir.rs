//! Creating directories: on the ring, or on a thread with all that are missing.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::path::{change, on_thread, path_at};
use crate::op::Change;

/// What every directory may be by default, before the process's umask is taken off.
pub(super) const MODE: u32 = 0o777;

/// Creates a directory.
///
/// The kernel's worker creates it; before Linux 5.15, a thread does.
///
/// # Errors
///
/// The kernel's: `AlreadyExists`, also if a file or a symbolic link has the name; `NotFound` if the
/// parent does not exist. `InvalidInput` for a path with a zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the directory may be created or not, perhaps a little later.
///
/// # Example
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join("annulus-create-dir");
///     fs::create_dir(&path).await?;
///     assert!(fs::metadata(&path).await?.is_dir());
///     fs::remove_dir(&path).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "mkdir")]
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().create(path).await
}

/// Creates a directory and all that are missing on the way to it, on a thread.
///
/// Directories that exist already, also because another process creates them meanwhile, are no
/// error.
///
/// # Errors
///
/// The kernel's; `AlreadyExists` or `NotADirectory` if the path, or a part of it, is something else
/// than a directory. What was created until then stays.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the thread goes on.
#[doc(alias = "makedirs")]
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path).await
}

/// How a directory is created: the builder of the standard library, with its extension for Unix.
///
/// # Example
///
/// ```
/// use annulus::fs::DirBuilder;
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join("annulus-dir-builder/private");
///     DirBuilder::new().recursive(true).mode(0o700).create(&path).await?;
///     assert_eq!(annulus::fs::metadata(&path).await?.mode() & 0o777, 0o700);
///     annulus::fs::remove_dir_all(path.parent().unwrap()).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DirBuilder {
    recursive: bool,
    mode: u32,
}

impl DirBuilder {
    /// Creates a builder of one directory, with the permissions `0o777` less the process's umask.
    #[expect(clippy::new_without_default, reason = "as in the standard library")]
    pub fn new() -> Self {
        Self { recursive: false, mode: MODE }
    }

    /// Sets whether the directories on the way are created, too.
    ///
    /// They get the same permissions. A directory that exists is no error then.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.recursive = recursive;
        self
    }

    /// Sets the permissions, from which the process's umask is taken.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Creates the directory, as [`create_dir`] or [`create_dir_all`] does.
    ///
    /// # Errors
    ///
    /// As for these.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for these.
    pub async fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let (path, mode) = (path.as_ref(), self.mode);
        if !self.recursive {
            let at = path_at(path, "create directory")?;
            return change(Change::CreateDirectory { at, mode }).await;
        }
        let owned = path.to_owned();
        on_thread(format_args!("create directory {}", path.display()), move || {
            fs::DirBuilder::new().recursive(true).mode(mode).create(owned)
        })
        .await
    }
}
