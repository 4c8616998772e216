//! Removing files and directories.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::path::{c_path, change, on_thread, path_at};
use super::remove_tree::remove_tree;
use crate::op::Change;
use crate::sys::paths::Directory;

/// Removes the name of a file, of a symbolic link as well. The file is gone when its last name and
/// its last descriptor are.
///
/// The kernel's worker does it.
///
/// # Errors
///
/// The kernel's: `NotFound`; `IsADirectory`; `PermissionDenied`. `InvalidInput` for a path with a
/// zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the name may be removed or not, perhaps a little later.
#[doc(alias = "unlink")]
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    change(Change::RemoveFile(path_at(path.as_ref(), "remove file")?)).await
}

/// Removes an empty directory.
///
/// The kernel's worker does it.
///
/// # Errors
///
/// The kernel's: `DirectoryNotEmpty`; `NotADirectory`, also for a symbolic link to one; `NotFound`.
/// `InvalidInput` for a path with a zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the directory may be removed or not, perhaps a little later.
#[doc(alias = "rmdir")]
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    change(Change::RemoveDirectory(path_at(path.as_ref(), "remove directory")?)).await
}

/// Removes a directory and all that is in it, on a thread. Of a symbolic link it removes the link.
///
/// No symbolic link is followed below the path, also not one by which another process replaces a
/// directory meanwhile. What another process removes meanwhile is no error. A file system that is
/// mounted below the path is emptied, too;
/// [`Dir::remove_dir_all`](super::Dir::remove_dir_all) can be told not to enter it
/// ([`Resolve::no_xdev`](super::Resolve::no_xdev)).
///
/// # Errors
///
/// The kernel's: `NotFound`; `NotADirectory` for a file; what cannot be removed, after which the
/// rest stays. `DirectoryNotEmpty` if another process adds files all the time. It needs a
/// descriptor for each level of directories.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the thread stops after the entry that it is at. What is removed by then is gone.
///
/// # Example
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join("annulus-remove-dir-all");
///     fs::create_dir_all(path.join("a/b/c")).await?;
///     fs::remove_dir_all(&path).await?;
///     assert!(!fs::try_exists(&path).await?);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "rmtree")]
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    let name = c_path(without_slashes(path), "remove directory")?;
    let stop = StopOnDrop::default();
    let stopped = Arc::clone(&stop.0);
    on_thread(format_args!("remove directory {}", path.display()), move || {
        remove_tree(Directory::Working, &name, false, &stopped)
    })
    .await
}

/// The kernel follows a symbolic link that has a slash behind it, also where it is told not to.
fn without_slashes(path: &Path) -> &Path {
    let bytes = path.as_os_str().as_bytes();
    let length = bytes.iter().rposition(|&byte| byte != b'/').map_or(1, |last| last + 1);
    Path::new(OsStr::from_bytes(&bytes[..length.min(bytes.len())]))
}

/// Tells a thread to stop when the future that waits for it is dropped.
#[derive(Default)]
pub(super) struct StopOnDrop(pub(super) Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
