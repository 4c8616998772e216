//! Renaming.

use std::io;
use std::path::Path;

use super::path::{change, path_at};
use crate::op::Change;
use crate::sys::paths::{RENAME_EXCHANGE, RENAME_NOREPLACE};

/// What becomes of a file that has the new name already.
///
/// # Example
///
/// ```
/// use annulus::fs::{self, RenameOptions, TempDir};
///
/// annulus::run(async {
///     let directory = TempDir::new().await?;
///     let (old, new) = (directory.path().join("old"), directory.path().join("new"));
///     fs::write(&old, "old").await?;
///     fs::write(&new, "new").await?;
///     let error = fs::rename_with(&old, &new, RenameOptions::no_replace()).await.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
///     fs::rename_with(&old, &new, RenameOptions::exchange()).await?;
///     assert_eq!(fs::read_to_string(&old).await?, "new");
///     assert_eq!(fs::read_to_string(&new).await?, "old");
///     directory.close().await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "renameat2")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameOptions {
    flags: u32,
}

impl RenameOptions {
    /// Replaces what has the new name, as [`rename`] does. The default.
    pub fn replace() -> Self {
        Self::default()
    }

    /// Fails with `AlreadyExists` if something has the new name.
    ///
    /// The kernel looks and renames in one step.
    #[doc(alias = "RENAME_NOREPLACE")]
    pub fn no_replace() -> Self {
        Self { flags: RENAME_NOREPLACE }
    }

    /// Exchanges the two names, in one step. Something must have the new name.
    #[doc(alias = "RENAME_EXCHANGE")]
    pub fn exchange() -> Self {
        Self { flags: RENAME_EXCHANGE }
    }

    pub(super) fn flags(self) -> u32 {
        self.flags
    }
}

/// Renames a file or directory, and replaces a file that has the new name.
///
/// Another process finds either the old file under the new name or the new one. Both must be on one
/// file system. It is durable when the directory has been synchronised (see
/// [`Dir::sync_all`](super::Dir::sync_all)).
///
/// The kernel's worker does it.
///
/// # Errors
///
/// The kernel's: `NotFound`; `CrossesDevices` for another file system; `DirectoryNotEmpty` for a
/// directory that would have to be replaced. `InvalidInput` for a path with a zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the file may be renamed or not, perhaps a little later.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    rename_with(from, to, RenameOptions::replace()).await
}

/// [`rename`] that says what becomes of a file that has the new name already.
///
/// # Errors
///
/// As for [`rename`]; `AlreadyExists` as [`RenameOptions::no_replace`] says; `InvalidInput` where
/// the file system cannot do it.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// As for [`rename`].
pub async fn rename_with(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: RenameOptions,
) -> io::Result<()> {
    let from = path_at(from.as_ref(), "rename")?;
    let to = path_at(to.as_ref(), "rename to")?;
    change(Change::Rename { from, to, flags: options.flags }).await
}
