//! Permissions, owners and times: the ring has no operations for them, so threads change them.

use std::fs::{self, FileTimes, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs as unix;
use std::path::Path;
use std::time::SystemTime;

use super::File;
use super::off_loop::change_off_loop;
use super::path::on_thread;
use crate::error::Describe;

/// Changes the permissions of what a path leads to, on a thread.
///
/// # Errors
///
/// The kernel's: `NotFound`; `PermissionDenied` for a file of another user. `InvalidInput` for a
/// path with a zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the permissions may be changed or not, perhaps a little later.
///
/// # Example
///
/// ```
/// use std::os::unix::fs::PermissionsExt;
/// use annulus::fs::{self, Permissions};
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join("annulus-set-permissions");
///     fs::write(&path, "").await?;
///     fs::set_permissions(&path, Permissions::from_mode(0o600)).await?;
///     assert_eq!(fs::metadata(&path).await?.mode() & 0o777, 0o600);
///     fs::remove_file(&path).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "chmod")]
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let (path, owned) = (path.as_ref(), path.as_ref().to_owned());
    on_thread(format_args!("set permissions of {}", path.display()), move || {
        fs::set_permissions(owned, permissions)
    })
    .await
}

/// Changes the owner of what a path leads to, on a thread. `None` leaves the user or the group.
///
/// # Errors
///
/// The kernel's: `NotFound`; `PermissionDenied` without the privilege. `InvalidInput` for a path
/// with a zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the owner may be changed or not, perhaps a little later.
pub async fn chown(path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    let (path, owned) = (path.as_ref(), path.as_ref().to_owned());
    on_thread(format_args!("change owner of {}", path.display()), move || {
        unix::chown(owned, uid, gid)
    })
    .await
}

/// [`chown`] that does not follow a symbolic link: its own owner is changed.
///
/// # Errors
///
/// As for [`chown`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// As for [`chown`].
pub async fn lchown(path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    let (path, owned) = (path.as_ref(), path.as_ref().to_owned());
    on_thread(format_args!("change owner of {}", path.display()), move || {
        unix::lchown(owned, uid, gid)
    })
    .await
}

impl File {
    /// Changes the permissions of the file, on a thread. Waits for dropped writes first.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `PermissionDenied`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the permissions may be changed or not. Later operations of this file
    /// [wait for it](Self#dropped-writes).
    #[doc(alias = "fchmod")]
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.change("set permissions of a file", |file: fs::File| file.set_permissions(permissions))
            .await
    }

    /// Changes the times of the file, on a thread. Waits for dropped writes first, which would
    /// change them again.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `PermissionDenied`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the times may be changed or not. Later operations of this file
    /// [wait for it](Self#dropped-writes).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use annulus::fs::{File, FileTimes};
    ///
    /// annulus::run(async {
    ///     let path = std::env::temp_dir().join("annulus-set-times");
    ///     let file = File::create(&path).await?;
    ///     let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    ///     file.set_times(FileTimes::new().set_modified(time)).await?;
    ///     assert_eq!(file.metadata().await?.modified()?, time);
    ///     annulus::fs::remove_file(&path).await
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "utime")]
    #[doc(alias = "futimens")]
    pub async fn set_times(&self, times: FileTimes) -> io::Result<()> {
        self.change("set times of a file", move |file: fs::File| file.set_times(times)).await
    }

    /// Changes when the file was last modified, as [`set_times`](Self::set_times) does.
    ///
    /// # Errors
    ///
    /// As for [`set_times`](Self::set_times).
    ///
    /// # Panics
    ///
    /// As for [`set_times`](Self::set_times).
    ///
    /// # Cancel safety
    ///
    /// As for [`set_times`](Self::set_times).
    pub async fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time)).await
    }

    /// Changes the file on a thread, by a descriptor of its own.
    async fn change(
        &self,
        doing: &str,
        change: impl FnOnce(fs::File) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let call = move |fd: &OwnedFd| change(fs::File::from(fd.try_clone()?));
        change_off_loop(&self.file, call).await.describe(doing)
    }
}
