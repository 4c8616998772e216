//! The files below a directory, and none beside it.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use annulus::blocking::to_thread;

/// The directory whose files are served.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

/// What a name stands for below the directory.
pub(crate) enum Found {
    File {
        file: File,
        length: u64,
        content_type: &'static str,
    },
    /// It leads out of the directory.
    Refused,
    Missing,
    Failed,
}

impl Root {
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        let fault = |error: io::Error| {
            let text = format!("cannot serve files of {}: {error}", directory.display());
            io::Error::new(error.kind(), text)
        };
        let root = directory.canonicalize().map_err(fault)?;
        if !root.is_dir() {
            return Err(fault(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Self(root))
    }

    /// Opens the file of a name as it is in a target. On a thread, since a disk may be slow.
    pub(crate) async fn open(&self, name: &str) -> Found {
        let Some(name) = decode(name).map(PathBuf::from) else { return Found::Refused };
        // `..` is refused, and not resolved; a second `/` makes no root.
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Found::Refused;
        }
        let root = self.0.clone();
        to_thread(move || open(&root, &name)).await.unwrap_or(Found::Failed)
    }
}

fn open(root: &Path, name: &Path) -> Found {
    let content_type = content_type(name);
    let found = root.join(name).canonicalize().and_then(|path| {
        // A symbolic link may lead anywhere.
        if !path.starts_with(root) {
            return Ok(Found::Refused);
        }
        // Before it is opened: the open of a FIFO would wait for a writer.
        if !path.metadata()?.is_file() {
            return Ok(Found::Missing);
        }
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Found::File { file, length, content_type })
    });
    found.unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Found::Refused,
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        // It is too long to be the name of a file.
        | io::ErrorKind::InvalidFilename => Found::Missing,
        _ => Found::Failed,
    })
}

/// Replaces `%41` by `A`. `None` if that is not possible, or hides a separator or a zero.
fn decode(name: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if matches!(byte, 0 | b'/') {
            return None;
        }
        decoded.push(byte);
        rest = &rest[2..];
    }
    String::from_utf8(decoded).ok()
}

fn content_type(name: &Path) -> &'static str {
    match name.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("txt" | "md" | "rs" | "toml") => "text/plain; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
