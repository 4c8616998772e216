//! The entries of a directory, as a stream.
//!
//! The ring has no operation for it. A thread reads one buffer of entries when the stream is polled
//! and has none left, and is free again: a stream that no task polls occupies no thread, and holds
//! one buffer.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FusedStream, Stream};

use super::path::c_path;
use super::{FileType, Metadata};
use crate::blocking::{ThreadHandle, to_thread};
use crate::error::{Describe, describe};
use crate::op::{Op, Open, Stat};
use crate::runtime::context;
use crate::sys::fs::{O_DIRECTORY, O_RDONLY};
use crate::sys::listing::{Entries, Entry};
use crate::sys::paths::PathAt;
use crate::task::coop;

/// Opens a directory to list its entries.
///
/// The ring opens it; a thread reads the entries, about a thousand at a time, so that a directory
/// of any size takes little memory.
///
/// # Errors
///
/// The kernel's: `NotFound`, `NotADirectory`, `PermissionDenied`. `InvalidInput` for a path with a
/// zero byte.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, what has been opened is closed.
///
/// # Example
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let mut entries = fs::read_dir("src").await?;
///     let mut names = Vec::new();
///     while let Some(entry) = entries.next_entry().await? {
///         if entry.file_type().await?.is_file() {
///             names.push(entry.file_name());
///         }
///     }
///     assert!(names.contains(&"lib.rs".into()));
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "listdir")]
#[doc(alias = "scandir")]
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref();
    let open = Open::new(c_path(path, "read directory")?, O_RDONLY | O_DIRECTORY, 0);
    let opened = Op::new(&context::driver(), open).await;
    let fd = opened.describe(format_args!("read directory {}", path.display()))?;
    Ok(ReadDir::new(fd, path.to_owned()))
}

/// The entries of a directory, without `.` and `..`, in no particular order.
///
/// It is a stream, and [`next_entry`](Self::next_entry) returns an entry at a time. What is created
/// or removed meanwhile may be among them or not. After an error it ends.
///
/// Made by [`read_dir`] and [`Dir::read_dir`](super::Dir::read_dir).
///
/// # Cancel safety
///
/// A dropped [`next_entry`](Self::next_entry) loses no entry. When the stream is dropped, a thread
/// that reads entries for it ends with the buffer that it is at; the directory is closed then, and
/// when the last of its [`DirEntry`]s is dropped.
#[must_use = "streams do nothing unless polled"]
pub struct ReadDir {
    listed: Arc<Listed>,
    stage: Stage,
}

/// A directory that is being listed.
struct Listed {
    fd: Arc<OwnedFd>,
    /// As it was given.
    path: PathBuf,
}

enum Stage {
    /// Has these entries.
    Read(Entries),
    /// Has none, and the next are not being read.
    Idle,
    /// A thread reads the next.
    Reading(ThreadHandle<io::Result<Option<Entries>>>),
    Ended,
}

impl ReadDir {
    pub(super) fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self { listed: Arc::new(Listed { fd: Arc::new(fd), path }), stage: Stage::Idle }
    }

    /// Returns the next entry; `None` at the end.
    ///
    /// # Errors
    ///
    /// The kernel's. The stream has ended then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no entry is lost.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await.transpose()
    }

    fn start(&self) -> ThreadHandle<io::Result<Option<Entries>>> {
        let fd = Arc::clone(&self.listed.fd);
        to_thread(move || Entries::read(fd.as_fd()))
    }

    fn failed(&self, error: io::Error) -> io::Error {
        describe(format_args!("read directory {}", self.listed.path.display()), error)
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut self.stage {
                Stage::Read(entries) => {
                    ready!(coop::poll_spend(context));
                    match entries.next() {
                        Some(entry) => {
                            let listed = Arc::clone(&self.listed);
                            return Poll::Ready(Some(Ok(DirEntry { listed, entry })));
                        }
                        None => self.stage = Stage::Idle,
                    }
                }
                Stage::Idle => self.stage = Stage::Reading(self.start()),
                Stage::Reading(read) => {
                    let read = ready!(Pin::new(read).poll(context));
                    self.stage = Stage::Ended;
                    match read.map_err(io::Error::from).and_then(|read| read) {
                        Ok(Some(entries)) => self.stage = Stage::Read(entries),
                        Ok(None) => {}
                        Err(error) => return Poll::Ready(Some(Err(self.failed(error)))),
                    }
                }
                Stage::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl FusedStream for ReadDir {
    fn is_terminated(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadDir").field(&self.listed.path).finish()
    }
}

/// An entry of a directory.
///
/// It keeps the directory open, in which its metadata is looked up, also when it has been renamed.
pub struct DirEntry {
    listed: Arc<Listed>,
    entry: Entry,
}

impl DirEntry {
    /// Returns the path: that of the directory, as it was given, and the name.
    pub fn path(&self) -> PathBuf {
        self.listed.path.join(self.name())
    }

    /// Returns the name, without the directory.
    pub fn file_name(&self) -> OsString {
        OsString::from_vec(self.entry.name.as_bytes().to_vec())
    }

    /// Returns the number of the inode. Where another file system is mounted on a directory, it is
    /// that of the directory beneath.
    pub fn ino(&self) -> u64 {
        self.entry.inode
    }

    /// Returns the type of the file. Symbolic links are not followed.
    ///
    /// Most file systems tell it with the name, so that it is known without asking the kernel.
    ///
    /// # Errors
    ///
    /// As for [`metadata`](Self::metadata), on the other file systems.
    ///
    /// # Panics
    ///
    /// As for [`metadata`](Self::metadata), on the other file systems.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.entry.type_bits {
            0 => Ok(self.metadata().await?.file_type()),
            bits => Ok(FileType::of_mode(bits)),
        }
    }

    /// Returns the metadata, by a statx on the ring. Symbolic links are not followed.
    ///
    /// # Errors
    ///
    /// The kernel's; `NotFound` if the entry has been removed.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let (directory, name): (_, CString) = (&self.listed.fd, self.entry.name.clone());
        Metadata::of(Stat::of_path(PathAt::beneath(Arc::clone(directory), name), false)).await
    }

    fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.entry.name.as_bytes())
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}
