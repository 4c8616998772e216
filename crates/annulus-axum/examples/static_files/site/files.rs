//! Which files are served.
//!
//! A path names a file below the directory, and nothing else: no `..` in any encoding, no name that
//! begins with a dot, no device or pipe. A symlink is followed where it leads to a file below the
//! directory. The kernel resolves the path from a descriptor of the directory, and refuses to leave
//! it (`annulus::fs::Dir`): links and directories that are replaced meanwhile lead nowhere else.

use std::fs::OpenOptions as StdOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use annulus::fs::{Dir, File, OpenOptions};

use super::conditions::State;

/// A directory that is served.
#[derive(Clone)]
pub(crate) struct Directory(Dir);

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
    pub(crate) state: State,
    pub(crate) content_type: &'static str,
}

impl Directory {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let open = StdOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path);
        let directory = open.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot serve {}: {error}", path.display()))
        })?;
        Ok(Self(Dir::from(OwnedFd::from(directory))))
    }

    /// Opens what a path names, which has been decoded and begins with a slash.
    ///
    /// A refused path is "not found", so that the answer does not reveal which files exist.
    pub(crate) async fn find(&self, path: &str) -> io::Result<Found> {
        let name = relative(path).ok_or(io::ErrorKind::NotFound)?;
        let is_directory = path.ends_with('/');
        let index;
        let name = match (is_directory, name) {
            (false, name) => name,
            (true, "") => "index.html",
            (true, name) => {
                index = format!("{name}/index.html");
                &index
            }
        };
        // Opening a pipe would wait for its writer.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = self.0.open_file_with(name, &options).await?;
        let metadata = file.metadata().await?;
        if metadata.is_dir() && !is_directory {
            return Ok(Found::Directory);
        }
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let state = State::new(metadata.len(), metadata.modified().ok(), metadata.ino());
        Ok(Found::File(Opened { file, state, content_type: content_type(Path::new(name)) }))
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
