//! Opening FIFOs.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use super::{Receiver, Sender};
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::{Op, Open, PipeEnd};
use crate::runtime::context;
use crate::sys::fs::{O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use crate::sys::pipe::{self as sys_pipe, Kind};

/// How a FIFO (a named pipe) is opened.
///
/// # Example
///
/// ```
/// use annulus::pipe::OpenOptions;
/// use std::process::Command;
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join(format!("annulus-doc-fifo-{}", std::process::id()));
///     Command::new("mkfifo").arg(&path).status()?;
///     let mut receiver = OpenOptions::new().open_receiver(&path).await?;
///     let mut sender = OpenOptions::new().open_sender(&path).await?;
///     sender.write_all("hello").await.0?;
///     assert_eq!(&*receiver.recv().await?, b"hello");
///     std::fs::remove_file(&path)
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    read_write: bool,
    unchecked: bool,
}

impl OpenOptions {
    /// Creates options with which an end is opened for its one direction.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether a FIFO is opened for reading and writing.
    ///
    /// So a [`Receiver`] never reads EOF when writers come and go, and a [`Sender`] needs no
    /// reader. Off by default.
    pub fn read_write(&mut self, value: bool) -> &mut Self {
        self.read_write = value;
        self
    }

    /// Sets whether it is not checked that the file is a FIFO. Off by default.
    pub fn unchecked(&mut self, value: bool) -> &mut Self {
        self.unchecked = value;
        self
    }

    /// Opens a FIFO for reading. It needs no writer.
    ///
    /// Until the first writer comes, reads return EOF, as after the last:
    /// [`read_write`](Self::read_write) avoids both.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` if the file is no FIFO.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed.
    pub async fn open_receiver(&self, path: impl AsRef<Path>) -> io::Result<Receiver> {
        self.open(path.as_ref(), O_RDONLY).await.map(Receiver::new)
    }

    /// Opens a FIFO for writing.
    ///
    /// # Errors
    ///
    /// `ENXIO` if no process has it open for reading: try again later, or use
    /// [`read_write`](Self::read_write). Otherwise as for [`open_receiver`](Self::open_receiver).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed.
    pub async fn open_sender(&self, path: impl AsRef<Path>) -> io::Result<Sender> {
        self.open(path.as_ref(), O_WRONLY).await.map(Sender::new)
    }

    async fn open(&self, path: &Path, direction: i32) -> io::Result<PipeEnd> {
        let driver = context::driver();
        let doing = format_args!("open {}", path.display()).to_string();
        let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
        let flags = O_NONBLOCK | if self.read_write { O_RDWR } else { direction };
        let open = Open::new(path.describe(&doing)?, flags, 0);
        let fd = Op::new(&driver, open).await.describe(&doing)?;
        self.checked(&driver, fd).describe(&doing)
    }

    fn checked(&self, driver: &Rc<Driver>, fd: OwnedFd) -> io::Result<PipeEnd> {
        if sys_pipe::kind(fd.as_fd())? == Kind::Pipe {
            return Ok(PipeEnd::nonblocking(driver, fd));
        }
        if self.unchecked {
            return PipeEnd::adopted(driver, fd);
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the file is no FIFO"))
    }
}
