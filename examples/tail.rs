//! The last lines of a file, and what is appended to it: `tail -n N -F FILE`.
//!
//! ```sh
//! cargo run --example tail -- -f /var/log/syslog
//! ```
//!
//! The directory is watched, so a file that is replaced (rotated) or appears later is followed by
//! its name. A file that has become shorter is read from its start. Nothing is done until the
//! kernel reports a change.

#[path = "shared/parsed.rs"]
mod parsed;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annulus::buf::{BufResult, IoBuf};
use annulus::fs::{File, Metadata, WatchEvent, WatchFor, Watcher, metadata};
use annulus::io::{Stdout, stdout};
use lexopt::prelude::{Long, Short, Value, ValueExt};

const USAGE: &str = "\
Writes the last lines of a file, and with -f what is appended to it.

Usage: tail [-n LINES] [-f] FILE

  -n LINES      how many lines; 10, if not given
  -f, --follow  goes on with what is appended; follows the name when the file is replaced";

const BUFFER: usize = 64 * 1024;

struct Arguments {
    lines: usize,
    follow: bool,
    path: PathBuf,
}

impl Arguments {
    fn parse(
        arguments: impl Iterator<Item = OsString> + 'static,
    ) -> Result<Option<Self>, lexopt::Error> {
        let (mut lines, mut follow, mut path) = (10, false, None);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(None),
                Short('n') | Long("lines") => lines = parser.value()?.parse()?,
                Short('f') | Short('F') | Long("follow") => follow = true,
                Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
                other => return Err(other.unexpected()),
            }
        }
        let path = path.ok_or("a file is missing")?;
        Ok(Some(Self { lines, follow, path }))
    }
}

/// A file, and how much of it has been written.
struct Followed {
    file: File,
    offset: u64,
    /// Which file it is.
    identity: (u64, u64),
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Followed {
    async fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).await?;
        let identity = identity(&file.metadata().await?);
        Ok(Self { file, offset: 0, identity })
    }

    async fn size(&self) -> io::Result<u64> {
        self.file.metadata().await.map(|metadata| metadata.len())
    }

    /// Sets the offset to the start of the last lines.
    async fn seek_lines(&mut self, lines: usize) -> io::Result<()> {
        self.offset = self.size().await?;
        if lines == 0 {
            return Ok(());
        }
        let mut missing = lines;
        // The end of the last line is no start of another.
        let mut is_last = true;
        while self.offset > 0 {
            let start = self.offset.saturating_sub(BUFFER as u64);
            let length = (self.offset - start) as usize;
            let part = Vec::with_capacity(length).slice(..length);
            let BufResult(count, part) = self.file.read_at(part, start).await;
            let part = &part.into_inner()[..count?];
            for (index, _) in part.iter().enumerate().rev().filter(|&(_, &byte)| byte == b'\n') {
                if std::mem::take(&mut is_last) && start + index as u64 + 1 == self.offset {
                    continue;
                }
                missing = missing.saturating_sub(1);
                if missing == 0 {
                    self.offset = start + index as u64 + 1;
                    return Ok(());
                }
            }
            is_last = false;
            self.offset = start;
        }
        Ok(())
    }

    /// Writes what is behind the offset.
    async fn write_rest(&mut self, output: &mut Stdout) -> io::Result<()> {
        if self.size().await? < self.offset {
            let _ = writeln!(io::stderr(), "tail: the file has become shorter");
            self.offset = 0;
        }
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            let BufResult(count, mut read) = self.file.read_at(buffer, self.offset).await;
            if count? == 0 {
                return Ok(());
            }
            self.offset += read.len() as u64;
            let BufResult(written, again) = output.write_all(read).await;
            written?;
            read = again;
            read.clear();
            buffer = read;
        }
    }
}

async fn tail(arguments: Arguments) -> io::Result<()> {
    let Arguments { lines, follow, path } = arguments;
    let mut output = stdout();
    if !follow {
        let mut file = Followed::open(&path).await?;
        file.seek_lines(lines).await?;
        return file.write_rest(&mut output).await;
    }
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
    let name = path.file_name().ok_or_else(no_name)?.to_owned();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Watched before it is read, so that no change is missed in between.
    let mut watcher = Watcher::new()?;
    watcher.watch(parent.unwrap_or(Path::new(".")), WatchFor::CHANGES).await?;
    let mut followed = Some(Followed::open(&path).await?);
    if let Some(file) = &mut followed {
        file.seek_lines(lines).await?;
        file.write_rest(&mut output).await?;
    }
    // The new name of a file that was moved within its directory: it may still be written.
    let mut alias = None;
    loop {
        match watcher.next_event().await? {
            WatchEvent::Modified(it)
            | WatchEvent::ClosedAfterWrite(it)
            | WatchEvent::Attributes(it)
            | WatchEvent::Created(it)
            | WatchEvent::Deleted(it)
            | WatchEvent::MovedAway(it)
            | WatchEvent::MovedHere(it)
                if it.name() != name && it.name != alias =>
            {
                continue;
            }
            WatchEvent::Moved { from, to } if from.name() != name && to.name() != name => continue,
            WatchEvent::Unwatched(_) => {
                return Err(io::Error::new(io::ErrorKind::NotFound, "its directory is gone"));
            }
            WatchEvent::Moved { from, to } if from.name() == name => alias = to.name,
            // Of the file; or events were lost, so all may have changed.
            _ => {}
        }
        if let Some(file) = &mut followed {
            // The last words of a file that has been replaced come first.
            file.write_rest(&mut output).await?;
        }
        let present = metadata(&path).await.ok();
        let is_same = |file: &Followed| {
            present.as_ref().is_none_or(|present| identity(present) == file.identity)
        };
        if present.is_some() && !followed.as_ref().is_some_and(is_same) {
            let _ = writeln!(io::stderr(), "tail: {} has been replaced", path.display());
            let mut file = Followed::open(&path).await?;
            file.write_rest(&mut output).await?;
            (followed, alias) = (Some(file), None);
        }
    }
}

#[annulus::main]
async fn main() -> ExitCode {
    let given = Arguments::parse(std::env::args_os().skip(1));
    let arguments = match parsed::arguments("tail", USAGE, given) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let path = arguments.path.clone();
    match tail(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tail: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
