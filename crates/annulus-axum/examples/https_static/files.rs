//! Which files are served.
//!
//! A path names a file below the directory, and nothing else: no `..` in any encoding, no name that
//! begins with a dot, no device or pipe. A symlink is followed where it leads to a file below the
//! directory. Who can change the directory while it is served can race that check, and is trusted.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A directory that is served.
#[derive(Clone)]
pub(crate) struct Directory {
    /// Without symlinks, so that a prefix of a path is a directory above it.
    root: Arc<Path>,
}

/// What a path names.
pub(crate) enum Found {
    File(Opened),
    /// A directory, named without a slash at the end: relative links in its index would lead
    /// astray.
    Directory,
}

/// A file that was opened.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) length: u64,
    pub(crate) modified: Option<SystemTime>,
    pub(crate) content_type: &'static str,
}

impl Directory {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot serve {}: {error}", path.display()))
        };
        let root = fs::canonicalize(path).map_err(failed)?;
        fs::read_dir(&root).map_err(failed)?;
        Ok(Self { root: root.into() })
    }

    /// Opens what a path names, which has been decoded and begins with a slash. It blocks.
    ///
    /// A refused path is "not found", so that the answer does not reveal which files exist.
    pub(crate) fn find(&self, path: &str) -> io::Result<Found> {
        let mut wanted = self.root.to_path_buf();
        wanted.push(relative(path).ok_or(io::ErrorKind::NotFound)?);
        let mut found = self.below(&wanted)?;
        if found.is_dir() {
            if !path.ends_with('/') {
                return Ok(Found::Directory);
            }
            found = self.below(&found.join("index.html"))?;
        } else if path.ends_with('/') {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Opening a pipe would wait for who writes to it.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&found)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Found::File(Opened {
            file,
            length: metadata.len(),
            modified: metadata.modified().ok(),
            content_type: content_type(&found),
        }))
    }

    /// A path without symlinks, if it is below the directory.
    fn below(&self, path: &Path) -> io::Result<PathBuf> {
        let path = fs::canonicalize(path)?;
        if path.starts_with(&self.root) { Ok(path) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// The path below the directory, if each of its names is one that is served.
fn relative(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?;
    let names = path.strip_suffix('/').unwrap_or(path);
    let is_served = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains('\0');
    (path.is_empty() || names.split('/').all(is_served)).then_some(names)
}

/// What a browser needs to know of a file, by its name.
fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}
