//! The file at the path of a Unix listener, which is removed when the listener ends.
//!
//! It is recognised by its device and inode. The socket is still open then: that keeps the inode,
//! so that its number cannot be that of another file.

use std::fs::{remove_file, symlink_metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};
use std::process;

use crate::op::Holders;

/// A file to which this process has bound a socket.
#[derive(Debug)]
pub(in crate::net) struct BoundFile {
    /// Absolute: the working directory may change.
    path: PathBuf,
    device: u64,
    inode: u64,
    /// The process that bound it: one that was forked from it must not remove it.
    process: u32,
}

impl BoundFile {
    /// The file at a path to which a socket has just been bound. `None` if it is gone already.
    pub(in crate::net) fn at(path: &Path) -> Option<Self> {
        let path = path::absolute(path).ok()?;
        let (device, inode) = identity(&path)?;
        Some(Self { path, device, inode, process: process::id() })
    }

    /// Removes it, unless something else is at the path.
    fn remove(&self) {
        let is_own = process::id() == self.process;
        if is_own && identity(&self.path) == Some((self.device, self.inode)) {
            // There is no caller to tell of an error, and the file does no harm: the next bind
            // tells what to do.
            let _ = remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// A file that is removed when the last listener of the socket drops this, before it closes the
/// socket; unless others may listen on.
#[derive(Debug)]
pub(super) struct SocketFile {
    bound: BoundFile,
    holders: Holders,
}

impl SocketFile {
    pub(super) fn new(bound: BoundFile, holders: &Holders) -> Self {
        Self { bound, holders: holders.clone() }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.holders.end() {
            self.bound.remove();
        }
    }
}
