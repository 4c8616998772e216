//! What kind of file a path names.

use std::fmt;

use crate::sys::statx::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK};

/// The type of a file: that of the standard library, which cannot be made from the ring's answers.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let file_type = annulus::fs::metadata("src").await?.file_type();
///     assert!(file_type.is_dir() && !file_type.is_file());
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType {
    /// The bits of a mode that say it.
    bits: u32,
}

impl FileType {
    pub(super) fn of_mode(mode: u32) -> Self {
        Self { bits: mode & S_IFMT }
    }

    /// Returns whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.bits == S_IFDIR
    }

    /// Returns whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.bits == S_IFREG
    }

    /// Returns whether this is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.bits == S_IFLNK
    }

    /// Returns whether this is a block device.
    pub fn is_block_device(&self) -> bool {
        self.bits == S_IFBLK
    }

    /// Returns whether this is a character device.
    pub fn is_char_device(&self) -> bool {
        self.bits == S_IFCHR
    }

    /// Returns whether this is a FIFO.
    pub fn is_fifo(&self) -> bool {
        self.bits == S_IFIFO
    }

    /// Returns whether this is a socket.
    pub fn is_socket(&self) -> bool {
        self.bits == S_IFSOCK
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.bits {
            S_IFDIR => "directory",
            S_IFREG => "file",
            S_IFLNK => "symbolic link",
            S_IFBLK => "block device",
            S_IFCHR => "character device",
            S_IFIFO => "FIFO",
            S_IFSOCK => "socket",
            _ => "unknown",
        })
    }
}
