//! What the kernel tells of a file: statx(2) on the ring.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use super::path::path_at;
use super::{File, FileType};
use crate::op::{Op, Stat};
use crate::runtime::context;
use crate::sys::statx::{Statx, Timestamp};

/// Metadata of a file: that of the standard library, which cannot be made from the ring's answers,
/// with the methods of its extension for Unix.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let metadata = annulus::fs::metadata("Cargo.toml").await?;
///     assert!(metadata.is_file() && metadata.len() > 100);
///     assert!(metadata.modified()? <= std::time::SystemTime::now());
///     assert_eq!(metadata.nlink(), 1);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Metadata {
    statx: Box<Statx>,
}

/// Returns the metadata of what a path leads to: symbolic links are followed.
///
/// It is a statx on the ring, which the kernel carries out on a worker.
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
/// Dropped, it has no effect.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     assert!(annulus::fs::metadata("src").await?.is_dir());
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "stat")]
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    stat(path.as_ref(), true).await
}

/// Returns the metadata of a path, of a symbolic link as well: the last one is not followed.
///
/// # Errors
///
/// As for [`metadata`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it has no effect.
#[doc(alias = "lstat")]
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    stat(path.as_ref(), false).await
}

/// Returns whether a path leads to something; a symbolic link to nowhere does not.
///
/// What exists now may be gone when it is used. To create a file that must not exist, use
/// [`File::create_new`].
///
/// # Errors
///
/// The kernel's if it cannot tell, such as `PermissionDenied`.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it has no effect.
#[doc(alias = "exists")]
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    exists(stat(path.as_ref(), true).await)
}

/// Whether a file exists, from the attempt to get its metadata.
pub(super) fn exists(metadata: io::Result<Metadata>) -> io::Result<bool> {
    match metadata {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn stat(path: &Path, follow: bool) -> io::Result<Metadata> {
    let at = path_at(path, "metadata of")?;
    Metadata::of(Stat::of_path(at, follow)).await
}

impl File {
    /// Returns the metadata of the file, by a statx on the ring.
    ///
    /// # Errors
    ///
    /// The kernel's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        Metadata::of(Stat::of_file(&self.file)?).await
    }
}

impl Metadata {
    pub(super) async fn of(stat: Stat) -> io::Result<Self> {
        Ok(Self { statx: Op::new(&context::driver(), stat).await? })
    }

    /// Returns the type of the file.
    pub fn file_type(&self) -> FileType {
        FileType::of_mode(self.statx.mode())
    }

    /// Returns whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// Returns whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// Returns whether this is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// Returns the size in bytes.
    #[expect(clippy::len_without_is_empty, reason = "as in the standard library")]
    #[doc(alias = "size")]
    pub fn len(&self) -> u64 {
        self.statx.size()
    }

    /// Returns the permissions.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.statx.mode())
    }

    /// Returns when the content was last modified.
    ///
    /// # Errors
    ///
    /// If the system's clock cannot express the time.
    pub fn modified(&self) -> io::Result<SystemTime> {
        system_time(self.statx.modified())
    }

    /// Returns when the content was last read, as far as the file system records it.
    ///
    /// # Errors
    ///
    /// As for [`modified`](Self::modified).
    pub fn accessed(&self) -> io::Result<SystemTime> {
        system_time(self.statx.accessed())
    }

    /// Returns when the file was created.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the file system does not record it.
    pub fn created(&self) -> io::Result<SystemTime> {
        let created = self.statx.created();
        let unknown = "the file system does not record when a file was created";
        system_time(created.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, unknown))?)
    }

    /// Returns the number of the device that holds the file.
    pub fn dev(&self) -> u64 {
        self.statx.device()
    }

    /// Returns the number of the inode.
    pub fn ino(&self) -> u64 {
        self.statx.inode()
    }

    /// Returns the type and the permissions, as bits.
    pub fn mode(&self) -> u32 {
        self.statx.mode()
    }

    /// Returns the number of hard links.
    pub fn nlink(&self) -> u64 {
        self.statx.links().into()
    }

    /// Returns the user id of the owner.
    pub fn uid(&self) -> u32 {
        self.statx.user()
    }

    /// Returns the group id of the owner.
    pub fn gid(&self) -> u32 {
        self.statx.group()
    }

    /// Returns the number of the device that this file is, if it is one.
    pub fn rdev(&self) -> u64 {
        self.statx.special_device()
    }

    /// Returns the unit of transfers that serves best, in bytes.
    pub fn blksize(&self) -> u64 {
        self.statx.block_size().into()
    }

    /// Returns how many blocks of 512 bytes the file occupies: fewer than its size where it has
    /// holes.
    pub fn blocks(&self) -> u64 {
        self.statx.blocks()
    }

    /// Returns when the content was last read, in seconds since 1970.
    pub fn atime(&self) -> i64 {
        self.statx.accessed().seconds
    }

    /// Returns the nanoseconds of [`atime`](Self::atime).
    pub fn atime_nsec(&self) -> i64 {
        self.statx.accessed().nanoseconds.into()
    }

    /// Returns when the content was last modified, in seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.statx.modified().seconds
    }

    /// Returns the nanoseconds of [`mtime`](Self::mtime).
    pub fn mtime_nsec(&self) -> i64 {
        self.statx.modified().nanoseconds.into()
    }

    /// Returns when the content or the metadata was last changed, in seconds since 1970.
    pub fn ctime(&self) -> i64 {
        self.statx.changed().seconds
    }

    /// Returns the nanoseconds of [`ctime`](Self::ctime).
    pub fn ctime_nsec(&self) -> i64 {
        self.statx.changed().nanoseconds.into()
    }
}

fn system_time(timestamp: Timestamp) -> io::Result<SystemTime> {
    let out_of_range = "the system's clock cannot express the time of the file";
    timestamp.system_time().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, out_of_range))
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("permissions", &format_args!("{:o}", self.mode() & 0o7777))
            .field("len", &self.len())
            .field("modified", &self.modified().ok())
            .finish_non_exhaustive()
    }
}
