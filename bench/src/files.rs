//! Work with a file, in the child's own process.
//!
//! A contender says how it reads, writes and syncs a block ([`Files`]); which block, what is in it,
//! and how long is written once, so that all do the same.
//!
//! - [`contents`] is what a file holds, so that what is read can be compared byte for byte.
//! - [`block`] is memory as `O_DIRECT` wants it.
//! - [`log`] is a log with group commit, for which a contender says how it writes a batch.
//! - [`progress`] is the measured window, and the workers, of which there are as many as operations
//!   are to be under way.

mod block;
mod contents;
mod log;
mod progress;

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

pub(crate) use block::Block;
pub(crate) use contents::{Contents, UNIT};
pub(crate) use log::{Commit, Log};
pub(crate) use progress::Worker;

use progress::Progress;

/// The bytes of a block that is read or written in sequence.
const LARGE: usize = 128 * 1024;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// 4 KiB from anywhere.
    RandomRead,
    /// 4 KiB to anywhere.
    RandomWrite,
    /// 128 KiB, one block after the other.
    SequentialRead,
    /// 128 KiB, one block after the other.
    SequentialWrite,
    /// 4 KiB written, one block after the other, each followed by an fdatasync.
    Sync,
    /// 256 B appended to a log; one task writes and syncs what all others have appended.
    GroupCommit,
}

impl Kind {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    pub(crate) fn block_size(self) -> usize {
        match self {
            Self::RandomRead | Self::RandomWrite | Self::Sync => UNIT,
            Self::SequentialRead | Self::SequentialWrite => LARGE,
            Self::GroupCommit => log::RECORD,
        }
    }

    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::RandomRead | Self::SequentialRead)
    }

    fn is_random(self) -> bool {
        matches!(self, Self::RandomRead | Self::RandomWrite)
    }
}

/// What to do, with which file, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    #[arg(long)]
    pub(crate) path: PathBuf,
    /// Past the kernel's cache.
    #[arg(long)]
    pub(crate) direct: bool,
    /// Operations under way.
    #[arg(long)]
    pub(crate) depth: usize,
    /// The bytes of the file.
    #[arg(long)]
    pub(crate) size: u64,
    #[arg(long)]
    pub(crate) warm_up: f64,
    #[arg(long)]
    pub(crate) seconds: f64,
}

impl Job {
    /// A job of this kind, to ask whether a contender can do it.
    pub(crate) fn example(kind: Kind, direct: bool) -> Self {
        let (path, size) = (PathBuf::new(), kind.block_size() as u64);
        Self { kind, path, direct, depth: 1, size, warm_up: 0.0, seconds: 0.0 }
    }

    /// As a child is told.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let Self { kind, path, direct, depth, size, warm_up, seconds } = self;
        let mut arguments = vec![kind.name(), "--path".to_owned(), path.display().to_string()];
        arguments.extend(["--depth".to_owned(), depth.to_string()]);
        arguments.extend(["--size".to_owned(), size.to_string()]);
        arguments.extend(["--warm-up".to_owned(), warm_up.to_string()]);
        arguments.extend(["--seconds".to_owned(), seconds.to_string()]);
        arguments.extend(direct.then(|| "--direct".to_owned()));
        arguments
    }

    /// The flags of the kernel that a file is opened with.
    pub(crate) fn flags(&self) -> i32 {
        if self.direct { libc::O_DIRECT } else { 0 }
    }

    /// Opens the file with the standard library.
    pub(crate) fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(!self.kind.reads()).custom_flags(self.flags()).open(&self.path)
    }

    /// Has the workers work until the time is up, and says what they did in the window.
    ///
    /// # Errors
    ///
    /// If an operation fails, what was read differs, or what was written is not in the file.
    pub(crate) fn measure(
        &self,
        work: impl FnOnce(Vec<Worker>) -> io::Result<()>,
    ) -> io::Result<Report> {
        let progress = Progress::begin(self);
        work(progress.workers())?;
        progress.end()
    }

    /// As [`measure`](Self::measure), for workers that append to a log, which begins empty.
    pub(crate) fn measure_log(
        &self,
        work: impl FnOnce(Arc<Log>, Vec<Worker>) -> io::Result<()>,
    ) -> io::Result<Report> {
        File::create(&self.path)?;
        let progress = Progress::begin(self);
        work(progress.log(), progress.workers())?;
        progress.end()
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) operations: u64,
    /// Batches of a log that were synced.
    pub(crate) syncs: u64,
    pub(crate) elapsed: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) latency: Latency,
}

/// From the start of an operation to its end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) max: Duration,
}

/// How a contender works with files.
pub(crate) trait Files: 'static {
    /// An open file, as one worker has it.
    type File: 'static;
    /// What a worker reads into and writes from, if it has something of its own for that.
    type Buffer: 'static;

    /// A buffer of `size` bytes.
    fn buffer(size: usize) -> Self::Buffer;

    /// Reads a whole block, and has it checked.
    fn read(
        file: &mut Self::File,
        buffer: &mut Self::Buffer,
        block: Span,
        check: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> impl Future<Output = io::Result<()>>;

    /// Has a block filled, and writes it.
    fn write(
        file: &mut Self::File,
        buffer: &mut Self::Buffer,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> impl Future<Output = io::Result<()>>;

    /// Returns when the data that was written is on the disk.
    fn sync(file: &mut Self::File) -> impl Future<Output = io::Result<()>>;

    /// Has a block filled, writes it, and returns when it is on the disk.
    async fn write_and_sync(
        file: &mut Self::File,
        buffer: &mut Self::Buffer,
        block: Span,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        Self::write(file, buffer, block, fill).await?;
        Self::sync(file).await
    }
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) size: usize,
}

/// Does one operation after the other until the time is up.
pub(crate) async fn work<F: Files>(mut file: F::File, mut worker: Worker) -> io::Result<()> {
    let kind = worker.kind();
    let mut buffer = F::buffer(kind.block_size());
    while let Some(block) = worker.next() {
        let began = Instant::now();
        let fill = |bytes: &mut [u8]| worker.fill(block, bytes);
        if kind.reads() {
            F::read(&mut file, &mut buffer, block, |bytes| worker.check(block, bytes)).await?;
        } else if kind == Kind::Sync {
            F::write_and_sync(&mut file, &mut buffer, block, fill).await?;
        } else {
            F::write(&mut file, &mut buffer, block, fill).await?;
        }
        worker.done(block, began);
    }
    Ok(())
}

/// The error for a block of which only so much was read or written.
pub(crate) fn whole(block: Span, bytes: usize) -> io::Result<()> {
    if bytes == block.size {
        return Ok(());
    }
    let text = format!("{bytes} bytes instead of {} at {}", block.size, block.offset);
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
}
