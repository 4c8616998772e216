//! Copies a file, with many reads and writes under way and a progress bar.
//!
//! ```sh
//! cargo run --release --example cp -- big.iso /mnt/copy.iso
//! cargo run --release --example cp -- --direct --sync big.iso /mnt   # past the kernel's cache
//! ```
//!
//! Each of the workers copies one block after the other: it reads the block at its offset, and
//! writes it to the same offset of the copy. So the device always has something to do, and memory
//! is bounded by the number of workers. A source whose length the kernel does not tell, as those
//! below `/proc`, is copied from its start to its end by one of them.
//!
//! Within one file system the `cp` of coreutils is faster, as is `annulus::fs::copy`: there the
//! kernel copies the bytes (copy_file_range), and none reaches this process.

#[path = "shared/outcome.rs"]
mod outcome;
#[path = "shared/parsed.rs"]
mod parsed;

use std::cell::Cell;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annulus::Builder;
use annulus::buf::{AlignedBuf, BufResult, IoBuf};
use annulus::fs::{self, File, OpenOptions};
use annulus::join::try_gather;
use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::{Long, Short, Value, ValueExt};

const USAGE: &str = "\
Copies a file, with many reads and writes under way and a progress bar.

Usage: cp [OPTIONS] SOURCE TARGET

If TARGET is a directory, the copy gets the name of SOURCE there.

  --in-flight N   blocks that are copied at the same time (8)
  --block BYTES   the size of a block, a multiple of 4096 (1048576)
  --direct        reads and writes past the kernel's cache (O_DIRECT)
  --sync          returns when the copy is on the disk";

/// What `O_DIRECT` wants of memory and offsets at most, on the file systems in use.
const ALIGNMENT: usize = 4096;

struct Arguments {
    source: PathBuf,
    target: PathBuf,
    in_flight: usize,
    block: usize,
    direct: bool,
    sync: bool,
}

fn main() -> ExitCode {
    let arguments = match parsed::arguments("cp", USAGE, parse()) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let runtime = Builder::new().cancel_on_ctrl_c(true).build().map_err(io::Error::from);
    outcome::exit_code("cp", runtime.and_then(|runtime| runtime.block_on(copy(&arguments))))
}

/// `None` if help was asked for.
fn parse() -> Result<Option<Arguments>, lexopt::Error> {
    let mut paths = Vec::<OsString>::new();
    let (mut in_flight, mut block, mut direct, mut sync) = (8, 1 << 20, false, false);
    let mut parser = lexopt::Parser::from_args(env::args_os().skip(1));
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("in-flight") => in_flight = parser.value()?.parse()?,
            Long("block") => block = parser.value()?.parse()?,
            Long("direct") => direct = true,
            Long("sync") => sync = true,
            Value(path) if paths.len() < 2 => paths.push(path),
            other => return Err(other.unexpected()),
        }
    }
    let [source, target] = <[OsString; 2]>::try_from(paths)
        .map_err(|_| "expected a SOURCE and a TARGET")?
        .map(PathBuf::from);
    if !(1..=1024).contains(&in_flight) {
        return Err("--in-flight takes a number from 1 to 1024".into());
    }
    if block == 0 || block % ALIGNMENT != 0 || block > 1 << 30 {
        return Err("--block takes a multiple of 4096, at most 1073741824".into());
    }
    Ok(Some(Arguments { source, target, in_flight, block, direct, sync }))
}

async fn copy(arguments: &Arguments) -> io::Result<()> {
    let mut read = OpenOptions::new();
    let source = read.read(true).direct(arguments.direct).open(&arguments.source).await?;
    let metadata = source.metadata().await?;
    let target = target(&arguments.source, &arguments.target).await?;
    if metadata.is_dir() {
        return Err(refused(&arguments.source, "is a directory"));
    }
    if let Ok(there) = fs::metadata(&target).await {
        if (there.dev(), there.ino()) == (metadata.dev(), metadata.ino()) {
            return Err(refused(&target, "is the same file as the source"));
        }
    }
    let mut write = OpenOptions::new();
    write.write(true).create(true).truncate(true).mode(metadata.mode() & 0o777);
    let copy = write.direct(arguments.direct).open(&target).await?;
    let job = Job::new(&source, &copy, metadata.len(), arguments);
    let workers = if metadata.len() == 0 { 1 } else { arguments.in_flight };
    try_gather((0..workers).map(|_| job.work()).collect::<Vec<_>>()).await?;
    if arguments.direct {
        // The last block was written whole.
        copy.set_len(job.copied.get()).await?;
    }
    if arguments.sync {
        copy.sync_all().await?;
    }
    job.progress.finish();
    Ok(())
}

/// Where the copy goes.
async fn target(source: &Path, target: &Path) -> io::Result<PathBuf> {
    match fs::metadata(target).await {
        Ok(metadata) if metadata.is_dir() => {
            let name = source.file_name().ok_or_else(|| refused(source, "has no name"))?;
            Ok(target.join(name))
        }
        _ => Ok(target.to_owned()),
    }
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} {why}", path.display()))
}

/// What the workers share.
struct Job<'a> {
    source: &'a File,
    copy: &'a File,
    block: usize,
    is_direct: bool,
    /// Where the next block begins.
    next: Cell<u64>,
    /// Where the source ends, or beyond it where that is not known.
    end: u64,
    /// The end of the last block that was copied.
    copied: Cell<u64>,
    progress: ProgressBar,
}

impl<'a> Job<'a> {
    fn new(source: &'a File, copy: &'a File, length: u64, arguments: &Arguments) -> Self {
        let style = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(style).expect("the template is valid");
        // It is drawn only on a terminal.
        let progress = ProgressBar::new(length).with_style(style);
        Self {
            source,
            copy,
            block: arguments.block,
            is_direct: arguments.direct,
            next: Cell::new(0),
            end: if length == 0 { u64::MAX } else { length },
            copied: Cell::new(0),
            progress,
        }
    }

    /// Copies blocks until none is left.
    async fn work(&self) -> io::Result<()> {
        let mut buffer = AlignedBuf::with_capacity(self.block, ALIGNMENT);
        loop {
            let offset = self.next.get();
            if offset >= self.end {
                return Ok(());
            }
            self.next.set(offset + self.block as u64);
            buffer.clear();
            buffer = self.read_block(buffer, offset).await?;
            let length = buffer.len();
            if length == 0 {
                return Ok(());
            }
            if self.is_direct {
                // What is written is a multiple of the device's blocks, and cut off in the end.
                buffer.resize(length.next_multiple_of(ALIGNMENT), 0);
            }
            let BufResult(written, back) = self.copy.write_all_at(buffer, offset).await;
            written?;
            buffer = back;
            self.copied.set(self.copied.get().max(offset + length as u64));
            self.progress.inc(length as u64);
        }
    }

    /// Reads a block, or what there is of it before the end of the source.
    async fn read_block(&self, mut buffer: AlignedBuf, offset: u64) -> io::Result<AlignedBuf> {
        loop {
            let have = buffer.len();
            let rest = buffer.slice(have..);
            let BufResult(count, rest) = self.source.read_at(rest, offset + have as u64).await;
            buffer = rest.into_inner();
            let is_over = count? == 0 || buffer.len() == self.block;
            // A direct read that ends within a block of the device has met the end.
            if is_over || (self.is_direct && buffer.len() % ALIGNMENT != 0) {
                return Ok(buffer);
            }
        }
    }
}
