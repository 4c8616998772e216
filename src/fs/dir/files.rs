//! What a `Dir` opens, reads and tells.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Dir;
use crate::error::Describe;
use crate::fs::metadata::exists;
use crate::fs::path::on_thread;
use crate::fs::{File, Metadata, OpenOptions, ReadDir};
use crate::op::Stat;
use crate::runtime::context;
use crate::sys::fs::{O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY};
use crate::sys::paths::{self, PathAt};

impl Dir {
    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// The kernel's, and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed.
    pub async fn open_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.open_file_with(path, OpenOptions::new().read(true)).await
    }

    /// Opens a file as the options say. [`OpenOptions::direct_descriptor`] is ignored: the file
    /// gets a descriptor of the process.
    ///
    /// # Errors
    ///
    /// As for [`OpenOptions::open`], and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed. A file may have been created or emptied, or may be
    /// so a little later.
    pub async fn open_file_with(
        &self,
        path: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> io::Result<File> {
        let path = path.as_ref();
        let arguments = options.kernel_arguments();
        let (flags, mode) = arguments.describe(format_args!("open {}", path.display()))?;
        let fd = self.open_within(path, flags, mode).await?;
        Ok(File::opened(&context::driver(), fd, flags))
    }

    /// Returns the metadata of what a path leads to.
    ///
    /// # Errors
    ///
    /// The kernel's, and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        self.stat(path.as_ref(), O_PATH).await
    }

    /// Returns the metadata of a path, of a symbolic link as well.
    ///
    /// # Errors
    ///
    /// As for [`metadata`](Self::metadata).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn symlink_metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        self.stat(path.as_ref(), O_PATH | O_NOFOLLOW).await
    }

    async fn stat(&self, path: &Path, flags: i32) -> io::Result<Metadata> {
        let fd = self.open_within(path, flags, 0).await?;
        Metadata::of(Stat::of_descriptor(PathAt::of_descriptor(Arc::new(fd)))).await
    }

    /// Returns whether a path leads to something in the directory.
    ///
    /// # Errors
    ///
    /// The kernel's if it cannot tell, and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn try_exists(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        exists(self.metadata(path).await)
    }

    /// Opens a directory to list its entries, `.` for this one, as
    /// [`fs::read_dir`](fn@crate::fs::read_dir) does. The paths of the entries are relative to this
    /// directory.
    ///
    /// # Errors
    ///
    /// The kernel's, and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed.
    pub async fn read_dir(&self, path: impl AsRef<Path>) -> io::Result<ReadDir> {
        let path = path.as_ref();
        let fd = self.open_within(path, O_RDONLY | O_DIRECTORY, 0).await?;
        Ok(ReadDir::new(fd, path.to_owned()))
    }

    /// Returns where a symbolic link leads, as it is written there. A thread reads it.
    ///
    /// # Errors
    ///
    /// The kernel's, and as for [all methods](Self#errors); `InvalidInput` if the path names no
    /// symbolic link.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn read_link(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let path = path.as_ref();
        let fd = self.open_within(path, O_PATH | O_NOFOLLOW, 0).await?;
        let link = PathAt::of_descriptor(Arc::new(fd));
        let target = on_thread(format_args!("read link {}", path.display()), move || {
            read_opened_link(&link)
        })
        .await?;
        Ok(OsString::from_vec(target).into())
    }

    /// Changes the permissions of what a path leads to, by a thread. It needs `/proc`.
    ///
    /// # Errors
    ///
    /// The kernel's, and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the permissions may be changed or not.
    #[doc(alias = "chmod")]
    pub async fn set_permissions(
        &self,
        path: impl AsRef<Path>,
        permissions: Permissions,
    ) -> io::Result<()> {
        let path = path.as_ref();
        let fd: OwnedFd = self.open_within(path, O_PATH, 0).await?;
        on_thread(format_args!("set permissions of {}", path.display()), move || {
            paths::set_mode(fd.as_fd(), permissions.mode())
        })
        .await
    }

    /// Makes what was created, removed and renamed in this directory durable.
    ///
    /// A new file is durable when it has been synchronised itself and so has the directory that
    /// holds its name. The directory must be readable.
    ///
    /// # Errors
    ///
    /// The kernel's.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the changes may be durable or not.
    #[doc(alias = "fsync")]
    pub async fn sync_all(&self) -> io::Result<()> {
        let fd = self.open_within(Path::new("."), O_RDONLY | O_DIRECTORY, 0).await?;
        File::new(&context::driver(), fd).sync_all().await
    }
}

/// Of a descriptor that is not of a link the kernel says `ENOENT`, and of a path `EINVAL`.
fn read_opened_link(link: &PathAt) -> io::Result<Vec<u8>> {
    paths::read_link(link).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(io::ErrorKind::InvalidInput, "it is no symbolic link")
        }
        _ => error,
    })
}
