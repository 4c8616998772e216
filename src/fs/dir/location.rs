//! Where a name is: the directory that holds it, and the name alone.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::Dir;
use crate::error::describe;
use crate::sys::fs::{O_DIRECTORY, O_PATH};
use crate::sys::paths::PathAt;

impl Dir {
    /// Opens the directory that holds the last part of a path. The name has no slash and is neither
    /// `.` nor `..`, so an operation on it that follows no symbolic link stays in that directory.
    pub(super) async fn locate(&self, path: &Path, doing: &str) -> io::Result<PathAt> {
        let failed = |error| describe(format_args!("{doing} {path:?}"), error);
        let (directory, name) = split(path.as_os_str().as_bytes()).ok_or_else(|| {
            let text = "the path does not end in a name";
            failed(io::Error::new(io::ErrorKind::InvalidInput, text))
        })?;
        let name = CString::new(name).map_err(|error| failed(error.into()))?;
        let Some(directory) = directory else {
            return Ok(PathAt::beneath(Arc::clone(&self.fd), name));
        };
        let directory = Path::new(OsStr::from_bytes(directory));
        let fd = self.open_within(directory, O_PATH | O_DIRECTORY, 0).await.map_err(failed)?;
        Ok(PathAt::beneath(Arc::new(fd), name))
    }
}

/// The directory of a path, if it names one, and its last part. `None` if that is no name.
fn split(path: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    // The kernel follows a symbolic link that has a slash behind it, even where it is told not to.
    let length = path.iter().rposition(|&byte| byte != b'/')? + 1;
    let path = &path[..length];
    let (directory, name) = match path.iter().rposition(|&byte| byte == b'/') {
        // With its slash: the directory of `/name` is `/`.
        Some(slash) => (Some(&path[..=slash]), &path[slash + 1..]),
        None => (None, path),
    };
    (!matches!(name, b"." | b"..")).then_some((directory, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_into_its_directory_and_a_name_without_slashes() {
        let is_split = |path: &str, directory: Option<&str>, name: &str| {
            let expected = Some((directory.map(str::as_bytes), name.as_bytes()));
            assert_eq!(split(path.as_bytes()), expected, "{path}");
        };
        is_split("name", None, "name");
        is_split("name//", None, "name");
        is_split("a/b", Some("a/"), "b");
        is_split("a/b//c///", Some("a/b//"), "c");
        is_split("/name", Some("/"), "name");
        is_split("../name", Some("../"), "name");
        is_split("...", None, "...");
    }

    #[test]
    fn a_path_that_does_not_end_in_a_name_is_not_split() {
        for path in ["", "/", "//", ".", "..", "a/.", "a/..", "a/../", "./"] {
            assert_eq!(split(path.as_bytes()), None, "{path}");
        }
    }
}
