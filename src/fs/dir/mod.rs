//! A directory to which paths are relative, and which they do not leave.
//!
//! Every path is resolved by openat2 on the ring, which the kernel ends with an error where it
//! would leave the directory, also while another process moves directories and links about
//! (`sys::resolve`). For an operation on a name (create, remove, rename, link) the directory that
//! holds it is opened so, and the operation is given the name alone, which none of them follows:
//! `location`.

mod changes;
mod files;
mod location;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use super::Resolve;
use super::path::c_path;
use crate::error::Describe;
use crate::op::{Op, Open, OpenWithin};
use crate::runtime::context;
use crate::sys::fs::{O_DIRECTORY, O_PATH};
use crate::sys::paths::PathAt;

/// An open directory, which the paths that its methods are given do not leave.
///
/// It is for programs that are told paths by others, such as a file server. Neither `..` nor a
/// symbolic link nor a process that moves directories meanwhile leads outside; [`Resolve`] says
/// what becomes of a path that would, and by default it fails. It refers to the directory that was
/// opened, also after that has been renamed.
///
/// The ring opens files here; where the directories are in the kernel's cache, it waits for
/// nothing. A clone refers to the same directory, and can be used on another thread.
///
/// A slash at the end of a path that is created, removed or renamed is ignored.
///
/// # Errors
///
/// All methods fail with `CrossesDevices` (`EXDEV`) for a path that leads outside, unless the
/// directory is used as a root. If directories on the way are renamed again and again while the
/// kernel resolves `..`, it cannot tell whether the path stays inside: after 128 tries the method
/// fails with `WouldBlock`.
///
/// # Example
///
/// ```
/// use annulus::fs::Dir;
///
/// annulus::run(async {
///     let dir = Dir::open("src").await?;
///     assert!(dir.metadata("fs/mod.rs").await?.is_file());
///     assert!(dir.read_to_string("fs/../lib.rs").await?.contains("mod fs;"));
///     for outside in ["../Cargo.toml", "/etc/passwd", "fs/../../README.md"] {
///         let error = dir.open_file(outside).await.unwrap_err();
///         assert_eq!(error.kind(), std::io::ErrorKind::CrossesDevices);
///     }
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "openat2")]
#[doc(alias = "openat")]
#[derive(Clone)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    resolve: Resolve,
}

impl Dir {
    /// Opens a directory, by a path that may lead anywhere. It need not be readable.
    ///
    /// # Errors
    ///
    /// The kernel's: `NotFound`, `NotADirectory`. `InvalidInput` for a path with a zero byte.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let open = Open::new(c_path(path, "open directory")?, O_PATH | O_DIRECTORY, 0);
        let opened = Op::new(&context::driver(), open).await;
        let fd = opened.describe(format_args!("open directory {}", path.display()))?;
        Ok(Self::from(fd))
    }

    /// Returns the same directory with another way to resolve paths.
    pub fn with_resolve(&self, resolve: Resolve) -> Self {
        Self { fd: Arc::clone(&self.fd), resolve }
    }

    /// Returns how paths are resolved.
    pub fn resolve(&self) -> Resolve {
        self.resolve
    }

    /// Opens a directory in this one. Paths that the new one is given do not leave that.
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
    pub async fn open_dir(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        let fd = self.open_within(path.as_ref(), O_PATH | O_DIRECTORY, 0).await?;
        Ok(Self { fd: Arc::new(fd), resolve: self.resolve })
    }

    /// Opens something by a path that does not leave the directory.
    async fn open_within(&self, path: &Path, flags: i32, mode: u32) -> io::Result<OwnedFd> {
        let at = PathAt::beneath(Arc::clone(&self.fd), c_path(path, "open")?);
        let open = OpenWithin::new(at, flags, mode, self.resolve.flags());
        Op::new(&context::driver(), open).await
    }
}

/// Takes over a descriptor of a directory. Paths are resolved [beneath](Resolve::beneath) it.
impl From<OwnedFd> for Dir {
    fn from(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd), resolve: Resolve::default() }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Dir {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Dir");
        debug.field("fd", &self.as_raw_fd()).field("resolve", &self.resolve).finish()
    }
}
