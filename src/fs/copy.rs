//! Copying a file.
//!
//! The ring opens both files. Threads copy, a piece at a time: each piece is a job of its own, so a
//! dropped copy ends with the piece that it is at, and other jobs have their chance between two
//! pieces.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::path::{c_path, on_thread};
use crate::error::Describe;
use crate::op::{Op, Open};
use crate::runtime::context;
use crate::sys::copy_range::{copy_range, next_data, next_hole, share_blocks};
use crate::sys::fs::{O_CREAT, O_NONBLOCK, O_RDONLY, O_WRONLY};

/// How many bytes are a piece: some milliseconds in memory.
const PIECE: usize = 8 << 20;
/// How many bytes are copied through memory at once, where the kernel does not copy itself.
const BUFFER: usize = 256 << 10;

/// Copies the content and the permissions of a file, and returns how many bytes the content has.
///
/// The target is created, or emptied first. If source and target are one file, under whatever
/// names, the copy fails and changes nothing.
///
/// On Btrfs, XFS and others that can, the copy shares the blocks of the source (`FICLONE`), which
/// takes no longer for a large file. Elsewhere the kernel copies (`copy_file_range`), or a thread
/// does where it cannot. Holes of a source that has some stay holes. Threads do all this, 8 MiB at
/// a time.
///
/// # Errors
///
/// The kernel's, such as `NotFound`; `StorageFull`, and others that come in the middle, leave what
/// was copied until then. `InvalidInput` if the source is not a regular file, or is the target.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it stops after the piece that it is at. The target may be created, and may have a part
/// of the content.
///
/// # Example
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let target = std::env::temp_dir().join("annulus-copy");
///     let length = fs::copy("Cargo.toml", &target).await?;
///     assert_eq!(length, fs::metadata("Cargo.toml").await?.len());
///     fs::remove_file(&target).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "copyfile")]
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (from.as_ref(), to.as_ref());
    copy_told(from, to, format_args!("copy {} to {}", from.display(), to.display())).await
}

/// Copies, and tells errors of what it was doing.
async fn copy_told(from: &Path, to: &Path, doing: fmt::Arguments<'_>) -> io::Result<u64> {
    // Not to wait for a writer, if it is a FIFO, which is refused below.
    let source = open(from, O_RDONLY | O_NONBLOCK, 0).await?;
    let (source, mode) = on_thread(doing, move || check_source(source)).await?;
    // It is emptied when it is known not to be the source.
    let target = open(to, O_WRONLY | O_CREAT, mode).await?;
    let mut step = on_thread(doing, move || Copy::begin(source, target, mode)).await?;
    loop {
        match step {
            Break(copied) => return Ok(copied),
            Continue(copy) => step = on_thread(doing, move || copy.go_on()).await?,
        }
    }
}

async fn open(path: &Path, flags: i32, mode: u32) -> io::Result<File> {
    let open = Open::new(c_path(path, "open")?, flags, mode);
    let fd: io::Result<OwnedFd> = Op::new(&context::driver(), open).await;
    Ok(File::from(fd.describe(format_args!("open {}", path.display()))?))
}

fn check_source(source: File) -> io::Result<(File, u32)> {
    let metadata = source.metadata()?;
    if !metadata.is_file() {
        let text = "the source is neither a regular file nor a symbolic link to one";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok((source, metadata.permissions().mode()))
}

/// A copy that goes on.
struct Copy {
    from: File,
    to: File,
    /// Up to where it has come.
    copied: u64,
    /// Whether the target is a file with offsets, and no pipe or device.
    to_file: bool,
    has_holes: bool,
    /// Whether the kernel has not yet refused to copy.
    in_kernel: bool,
    is_complete: bool,
}

impl Copy {
    fn begin(from: File, to: File, mode: u32) -> io::Result<ControlFlow<u64, Self>> {
        let (source, target) = (from.metadata()?, to.metadata()?);
        if (source.dev(), source.ino()) == (target.dev(), target.ino()) {
            let text = "source and target are the same file; nothing was changed";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let to_file = target.is_file();
        let has_holes = to_file && source.blocks() * 512 < source.len();
        let (copied, in_kernel, is_complete) = (0, to_file, false);
        let mut copy = Self { from, to, copied, to_file, has_holes, in_kernel, is_complete };
        if to_file {
            copy.to.set_len(0)?;
            copy.to.set_permissions(PermissionsExt::from_mode(mode))?;
            if share_blocks(&copy.from, &copy.to) {
                copy.copied = copy.to.metadata()?.len();
                copy.is_complete = true;
            }
        }
        Ok(copy.step())
    }

    /// What follows a step: the next, or the length of the copy, whose files are closed here. On a
    /// network file system, that waits until the content is stored.
    fn step(self) -> ControlFlow<u64, Self> {
        if self.is_complete { Break(self.copied) } else { Continue(self) }
    }

    /// Copies the next piece.
    fn go_on(mut self) -> io::Result<ControlFlow<u64, Self>> {
        let mut left = PIECE;
        while left > 0 && !self.is_complete {
            let length = self.skip_hole(left)?;
            if self.is_complete {
                break;
            }
            match self.copy_some(length)? {
                0 => self.is_complete = true,
                count => {
                    self.copied += count as u64;
                    left -= count.min(left);
                }
            }
        }
        Ok(self.step())
    }

    /// Leaves a hole that begins here out. Returns how many bytes of data follow, at most `length`.
    fn skip_hole(&mut self, length: usize) -> io::Result<usize> {
        if !self.has_holes {
            return Ok(length);
        }
        let Ok(data) = next_data(&self.from, self.copied) else {
            // A file system that does not tell.
            self.has_holes = false;
            return Ok(length);
        };
        let Some(data) = data else {
            // The rest is a hole.
            self.copied = self.copied.max(self.from.metadata()?.len());
            self.to.set_len(self.copied)?;
            self.is_complete = true;
            return Ok(0);
        };
        let Ok(end) = next_hole(&self.from, data) else {
            // Another process has cut the source off meanwhile: a read finds its end.
            self.has_holes = false;
            return Ok(length);
        };
        self.copied = data;
        Ok(length.min(usize::try_from(end - data).unwrap_or(usize::MAX)))
    }

    fn copy_some(&mut self, length: usize) -> io::Result<usize> {
        if self.in_kernel {
            match copy_range(&self.from, &self.to, self.copied, length)? {
                // So a file of `/proc` ends, too: a read tells whether this is the end.
                Some(0) if self.copied == 0 => self.in_kernel = false,
                Some(count) => return Ok(count),
                None => self.in_kernel = false,
            }
        }
        let mut buffer = vec![0; length.min(BUFFER)];
        let count = loop {
            match self.from.read_at(&mut buffer, self.copied) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if self.to_file {
            self.to.write_all_at(&buffer[..count], self.copied)?;
        } else {
            self.to.write_all(&buffer[..count])?;
        }
        Ok(count)
    }
}
