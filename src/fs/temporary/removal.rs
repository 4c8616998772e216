//! Removing what was temporary.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::AtomicBool;

use crate::blocking::to_thread;
use crate::fs::remove_tree::remove_tree;
use crate::runtime::context::{is_running, shield_guard};
use crate::runtime::spawn;
use crate::sys::paths::Directory;

/// A path that is removed when this is dropped.
pub(super) struct TempPath {
    path: PathBuf,
    kind: Kind,
    /// The process that created it: one that was forked from it must not remove it.
    process: u32,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    File,
    Directory,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
        })
    }
}

impl TempPath {
    pub(super) fn new(path: PathBuf, kind: Kind) -> Self {
        Self { path, kind, process: process::id() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path, which stays.
    pub(super) fn keep(mut self) -> PathBuf {
        mem::take(&mut self.path)
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        let path = mem::take(&mut self.path);
        if path.as_os_str().is_empty() || process::id() != self.process {
            return;
        }
        let removal = Removal { path, kind: self.kind };
        if !is_running() {
            // No event loop waits for this thread.
            return drop(removal);
        }
        let guard = shield_guard();
        // In a runtime that ends, the task is dropped at once, and the removal with it.
        drop(spawn(async move {
            let _ = to_thread(move || drop(removal)).await;
            drop(guard);
        }));
    }
}

/// What is to be removed; it is so when this is dropped, wherever that is.
struct Removal {
    path: PathBuf,
    kind: Kind,
}

impl Removal {
    fn remove(&self) -> io::Result<()> {
        match self.kind {
            Kind::File => std::fs::remove_file(&self.path),
            Kind::Directory => {
                let name = CString::new(self.path.as_os_str().as_bytes())?;
                remove_tree(Directory::Working, &name, false, &AtomicBool::new(false))
            }
        }
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        // It may be gone already, and there is no caller to tell of another error: `close` does.
        let _ = self.remove();
    }
}
