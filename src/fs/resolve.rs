//! How paths relative to a `Dir` are kept inside of it.

use std::fmt;

use crate::sys::resolve::{
    RESOLVE_BENEATH, RESOLVE_CACHED, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
};

/// How the paths that a [`Dir`](super::Dir) is given are resolved: always inside of it (openat2).
///
/// The links of `/proc` that lead to a file without a path, such as `/proc/self/root`, are never
/// followed.
///
/// # Example
///
/// ```
/// use annulus::fs::{Dir, Resolve};
///
/// annulus::run(async {
///     let dir = Dir::open("src").await?;
///     assert!(dir.open_file("../Cargo.toml").await.is_err());
///     // As if `src` were the root directory, which is above itself.
///     let dir = dir.with_resolve(Resolve::in_root().no_symlinks());
///     assert!(dir.open_file("/../lib.rs").await.is_ok());
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "openat2")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Resolve {
    flags: u64,
}

impl Resolve {
    /// A path that leads outside fails with `CrossesDevices` (`EXDEV`): by `..`, because it is
    /// absolute, or by a symbolic link that is or does so. This is the default.
    #[doc(alias = "RESOLVE_BENEATH")]
    pub fn beneath() -> Self {
        Self { flags: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS }
    }

    /// The directory is what the root directory is to a process: absolute paths and symbolic links
    /// begin there, and `..` does not leave it, as after chroot(2).
    #[doc(alias = "RESOLVE_IN_ROOT")]
    #[doc(alias = "chroot")]
    pub fn in_root() -> Self {
        Self { flags: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS }
    }

    /// Refuses every symbolic link, also those that stay inside (`ELOOP`).
    #[doc(alias = "RESOLVE_NO_SYMLINKS")]
    #[must_use = "returns the setting, and changes nothing"]
    pub fn no_symlinks(self) -> Self {
        Self { flags: self.flags | RESOLVE_NO_SYMLINKS }
    }

    /// Refuses to enter another mounted file system (`EXDEV`), also by a bind mount.
    #[doc(alias = "RESOLVE_NO_XDEV")]
    #[must_use = "returns the setting, and changes nothing"]
    pub fn no_xdev(self) -> Self {
        Self { flags: self.flags | RESOLVE_NO_XDEV }
    }

    /// Fails with `WouldBlock` where the kernel would ask the file system (Linux 5.12).
    ///
    /// It would where a part of the path is not in the kernel's cache. What creates or truncates a
    /// file always fails so.
    #[doc(alias = "RESOLVE_CACHED")]
    #[must_use = "returns the setting, and changes nothing"]
    pub fn cached(self) -> Self {
        Self { flags: self.flags | RESOLVE_CACHED }
    }

    pub(super) fn stays_on_mount(self) -> bool {
        self.flags & RESOLVE_NO_XDEV != 0
    }

    pub(super) fn flags(self) -> u64 {
        self.flags
    }
}

impl Default for Resolve {
    fn default() -> Self {
        Self::beneath()
    }
}

impl fmt::Debug for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |flag| self.flags & flag != 0;
        f.debug_struct("Resolve")
            .field("beneath", &has(RESOLVE_BENEATH))
            .field("in_root", &has(RESOLVE_IN_ROOT))
            .field("no_symlinks", &has(RESOLVE_NO_SYMLINKS))
            .field("no_xdev", &has(RESOLVE_NO_XDEV))
            .field("cached", &has(RESOLVE_CACHED))
            .finish()
    }
}
