//! Removing a directory with all that is in it, on a thread.
//!
//! No path is resolved twice: each directory is opened by its name in the one above, without
//! following a symbolic link, and what is in it is removed by its name there. So a process that
//! replaces a directory by a symbolic link meanwhile has the link removed, and nothing that it
//! leads to.
//!
//! The directories on the way down are open, one descriptor each, as in the standard library.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::sys::errno::{EISDIR, ELOOP, ENOENT, ENOTDIR, ENOTEMPTY};
use crate::sys::listing::{Entries, Entry};
use crate::sys::paths::{AT_REMOVEDIR, Directory, is_symbolic_link, open_directory_in, remove_in};
use crate::sys::statx::S_IFDIR;

/// How often a directory is read again from its beginning because it was not empty at the end:
/// another process may add to it as fast as this one removes.
const PASSES: u32 = 16;

/// A directory whose entries are being removed.
struct Level {
    fd: OwnedFd,
    /// Its name in the directory above.
    name: CString,
    entries: Option<Entries>,
    passes: u32,
}

impl Level {
    fn open(above: Directory<'_>, name: &CStr, stays_on_mount: bool) -> io::Result<Self> {
        let fd = open_directory_in(above, name, stays_on_mount)?;
        Ok(Self { fd, name: name.to_owned(), entries: None, passes: 1 })
    }

    fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.entries.as_mut().and_then(Iterator::next) {
                return Ok(Some(entry));
            }
            self.entries = Entries::read(self.fd.as_fd())?;
            if self.entries.is_none() {
                return Ok(None);
            }
        }
    }
}

/// Removes a directory and what is in it; of a symbolic link, the link alone. What is removed by
/// another process meanwhile is no error. With `stays_on_mount` it fails at a directory on which
/// another file system is mounted. Once it is told to stop it fails with `Interrupted`.
pub(super) fn remove_tree(
    root: Directory<'_>,
    name: &CStr,
    stays_on_mount: bool,
    stop: &AtomicBool,
) -> io::Result<()> {
    let top = match Level::open(root, name, stays_on_mount) {
        Ok(level) => level,
        Err(error) if is_no_directory(&error) => return remove_link(root, name, error),
        Err(error) => return Err(error),
    };
    let mut levels = vec![top];
    while let Some(level) = levels.last_mut() {
        if stop.load(Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match level.next_entry()? {
            Some(entry) => {
                let below = remove_entry(level, &entry, stays_on_mount)?;
                levels.extend(below);
            }
            None => remove_emptied(root, &mut levels)?,
        }
    }
    Ok(())
}

/// The name is not that of a directory: a symbolic link is removed, anything else is an error.
fn remove_link(root: Directory<'_>, name: &CStr, not_a_directory: io::Error) -> io::Result<()> {
    if is_symbolic_link(root, name) {
        return remove_in(root, name, 0);
    }
    Err(not_a_directory)
}

/// Removes an entry, or returns the directory that it is. What another process replaces again and
/// again is left to the next pass.
fn remove_entry(level: &Level, entry: &Entry, stays_on_mount: bool) -> io::Result<Option<Level>> {
    let above = Directory::Open(level.fd.as_fd());
    // Where the type is not known: a directory refuses to be removed as a file.
    let mut is_directory = entry.type_bits == S_IFDIR;
    for _ in 0..PASSES {
        if is_directory {
            match Level::open(above, &entry.name, stays_on_mount) {
                Ok(below) => return Ok(Some(below)),
                Err(error) if is_no_directory(&error) => is_directory = false,
                Err(error) => return ignore_missing(Err(error)).map(|()| None),
            }
        } else {
            match remove_in(above, &entry.name, 0) {
                Err(error) if error.raw_os_error() == Some(EISDIR) => is_directory = true,
                result => return ignore_missing(result).map(|()| None),
            }
        }
    }
    Ok(None)
}

/// Removes the last directory, in which no entry is left, or begins it anew.
fn remove_emptied(root: Directory<'_>, levels: &mut Vec<Level>) -> io::Result<()> {
    let Some(mut level) = levels.pop() else { return Ok(()) };
    let above = levels.last().map_or(root, |above| Directory::Open(above.fd.as_fd()));
    match remove_in(above, &level.name, AT_REMOVEDIR) {
        Err(error) if error.raw_os_error() == Some(ENOTEMPTY) && level.passes < PASSES => {
            level.passes += 1;
            Entries::rewind(level.fd.as_fd())?;
            levels.push(level);
            Ok(())
        }
        result if levels.is_empty() => result,
        // Another process has replaced it: the next pass of the directory above finds by what.
        Err(error) if is_no_directory(&error) => Ok(()),
        result => ignore_missing(result),
    }
}

fn is_no_directory(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOTDIR | ELOOP))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn a_removal_that_is_told_to_stop_removes_nothing_more() {
        let path = env::temp_dir().join(format!("annulus-stopped-removal-{}", process::id()));
        fs::create_dir_all(path.join("below")).unwrap();
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        let remove = |stop| remove_tree(Directory::Working, &name, false, &AtomicBool::new(stop));
        assert_eq!(remove(true).unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert!(path.join("below").exists());
        remove(false).unwrap();
        assert!(!path.exists());
    }

    /// Another process replaces a directory by a link between the look at its entry and its
    /// removal.
    #[test]
    fn a_link_that_has_taken_the_place_of_a_listed_directory_is_removed_and_not_followed() {
        let path = env::temp_dir().join(format!("annulus-replaced-{}", process::id()));
        for directory in ["outside", "tree/below"] {
            fs::create_dir_all(path.join(directory)).unwrap();
        }
        fs::write(path.join("outside/file"), "kept").unwrap();
        let name = CString::new(path.join("tree").as_os_str().as_bytes()).unwrap();
        for stays_on_mount in [false, true] {
            let mut level = Level::open(Directory::Working, &name, stays_on_mount).unwrap();
            let entry = level.next_entry().unwrap().unwrap();
            fs::remove_dir(path.join("tree/below")).unwrap();
            symlink("../outside", path.join("tree/below")).unwrap();
            let below = remove_entry(&level, &entry, stays_on_mount).unwrap();
            assert!(below.is_none(), "the link was followed");
            assert!(level.next_entry().unwrap().is_none());
            fs::create_dir(path.join("tree/below")).unwrap();
        }
        assert_eq!(fs::read(path.join("outside/file")).unwrap(), b"kept");
        fs::remove_dir_all(path).unwrap();
    }
}
