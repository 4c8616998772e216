//! Names of files: links, and where they lead.

use std::io;
use std::path::{Path, PathBuf};

use super::path::{c_path, change, on_thread, path_at};
use crate::op::Change;

/// Gives a file another name on the same file system. A symbolic link is not followed: it gets the
/// name itself.
///
/// The kernel's worker does it; before Linux 5.15, a thread does.
///
/// # Errors
///
/// The kernel's: `AlreadyExists` if there is something at `link`; `CrossesDevices` for another file
/// system; `PermissionDenied` for a directory. `InvalidInput` for a path with a zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the link may be created or not, perhaps a little later.
#[doc(alias = "link")]
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let from = path_at(original.as_ref(), "link")?;
    let to = path_at(link.as_ref(), "link to")?;
    change(Change::HardLink { from, to }).await
}

/// Creates a symbolic link that leads to `original`, which need not exist.
///
/// The kernel's worker does it; before Linux 5.15, a thread does.
///
/// # Errors
///
/// The kernel's: `AlreadyExists` if there is something at `link`. `InvalidInput` for a path with a
/// zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the link may be created or not, perhaps a little later.
///
/// # Example
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let link = std::env::temp_dir().join("annulus-symlink");
///     fs::symlink("somewhere", &link).await?;
///     assert_eq!(fs::read_link(&link).await?.to_str(), Some("somewhere"));
///     assert!(fs::symlink_metadata(&link).await?.is_symlink());
///     fs::remove_file(&link).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let target = c_path(original.as_ref(), "create symbolic link to")?;
    let at = path_at(link.as_ref(), "create symbolic link")?;
    change(Change::SymbolicLink { target, at }).await
}

/// Returns where a symbolic link leads, by a thread: the ring has no such operation.
///
/// # Errors
///
/// The kernel's: `InvalidInput` if the path names no symbolic link.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it has no effect.
#[doc(alias = "readlink")]
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let (path, owned) = (path.as_ref(), path.as_ref().to_owned());
    on_thread(format_args!("read link {}", path.display()), move || std::fs::read_link(owned)).await
}

/// Returns the absolute path without symbolic links, `.` and `..`, by a thread: it takes a system
/// call for each part of the path, of which the ring has not all.
///
/// # Errors
///
/// The kernel's, such as `NotFound`: all of the path must exist.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it has no effect.
#[doc(alias = "realpath")]
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let (path, owned) = (path.as_ref(), path.as_ref().to_owned());
    on_thread(format_args!("canonicalize {}", path.display()), move || std::fs::canonicalize(owned))
        .await
}
