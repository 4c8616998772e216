//! A file that is read and written at offsets.

use std::ffi::CString;
use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::{fmt, io};

use futures_util::future::{Either, ready};

use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::error::Describe;
use crate::op::{FileFd, Fsync, Op, Open, ReadAt, WriteAt};
use crate::runtime::context;
use crate::sys::fs::{O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY};

/// An open file.
///
/// Dropped, it is closed, when the last operation on it has completed.
///
/// # Example
///
/// ```
/// use annulus::buf::BufResult;
/// use annulus::fs::File;
///
/// annulus::run(async {
///     let file = File::open("Cargo.toml").await?;
///     let BufResult(count, start) = file.read_at(Vec::with_capacity(11), 0).await;
///     assert_eq!(count?, 11);
///     assert_eq!(start, b"[workspace]");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct File {
    file: Rc<FileFd>,
}

impl File {
    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `NotFound`; `InvalidInput` for a path with a zero byte.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_with(path.as_ref(), O_RDONLY).await
    }

    /// Opens a file to write it: creates it if it does not exist, and else makes it empty.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As for [`open`](Self::open); the file may have been created or emptied, or may be so a
    /// little later.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_with(path.as_ref(), O_WRONLY | O_CREAT | O_TRUNC).await
    }

    async fn open_with(path: &Path, flags: i32) -> io::Result<Self> {
        let driver = context::driver();
        let doing = format_args!("open {}", path.display()).to_string();
        let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
        let open = Open::new(path.describe(&doing)?, flags, 0o666);
        let fd = Op::new(&driver, open).await.describe(&doing)?;
        Ok(Self { file: Rc::new(FileFd::new(&driver, fd)) })
    }

    /// Takes over a file of the standard library.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn from_std(file: std::fs::File) -> Self {
        Self { file: Rc::new(FileFd::new(&context::driver(), OwnedFd::from(file))) }
    }

    /// Reads from an offset in bytes: at most the buffer's capacity; zero bytes at the end of the
    /// file, or if the buffer has no capacity.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` for an offset beyond `i64::MAX`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect. The buffer is lost. (Of a pipe, which has no offsets, the bytes
    /// are lost, too.)
    #[doc(alias = "pread")]
    pub fn read_at<B: IoBufMut>(
        &self,
        buffer: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        if is_beyond_files(offset) {
            return Either::Left(ready(BufResult(Err(no_such_offset()), buffer)));
        }
        Either::Right(Op::new(self.file.driver(), ReadAt::new(&self.file, buffer, offset)))
    }

    /// Writes a buffer to an offset in bytes, perhaps not all of it, and returns how many bytes.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` for an offset beyond `i64::MAX`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the write may happen in full, in part or not at all, and until
    /// [`sync_all`](Self::sync_all) or [`sync_data`](Self::sync_data), which wait for it: it may
    /// overwrite what a later write has written to the same place.
    #[doc(alias = "pwrite")]
    pub fn write_at<B: IoBuf>(
        &self,
        buffer: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        if is_beyond_files(offset) {
            return Either::Left(ready(BufResult(Err(no_such_offset()), buffer)));
        }
        Either::Right(Op::new(self.file.driver(), WriteAt::new(&self.file, buffer, offset)))
    }

    /// Makes everything that has been written durable, data and metadata. Waits for dropped writes
    /// first.
    ///
    /// # Errors
    ///
    /// The kernel's. What an error means for the data that was to be written is a matter of the
    /// file system: it may be lost, and a second call may succeed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the data may be durable or not.
    #[doc(alias = "fsync")]
    pub fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<> {
        Op::new(self.file.driver(), Fsync::all(&self.file))
    }

    /// [`sync_all`](Self::sync_all) without the metadata that is not needed to read the data, such
    /// as times.
    ///
    /// # Errors
    ///
    /// As for [`sync_all`](Self::sync_all).
    ///
    /// # Cancel safety
    ///
    /// As for [`sync_all`](Self::sync_all).
    #[doc(alias = "fdatasync")]
    pub fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<> {
        Op::new(self.file.driver(), Fsync::data(&self.file))
    }
}

/// The kernel takes such an offset for the file's own position.
fn is_beyond_files(offset: u64) -> bool {
    i64::try_from(offset).is_err()
}

fn no_such_offset() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no file has an offset beyond i64::MAX")
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.fd().unwrap_or_else(|error| panic!("{error}")).as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("fd", &self.file.descriptor().fd_if_open().map(AsRawFd::as_raw_fd))
            .finish()
    }
}
