//! The end of a pipe that is read from.

use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::{fmt, io};

use super::adopt::{Direction, adopt};
use crate::buf::{BufResult, IoBufMut, Lease};
use crate::driver::Driver;
use crate::error::Describe;
use crate::io::{AsyncRead, pipe_ops};
use crate::op::{PipeEnd, try_read};
use crate::sys::pipe::{self as sys_pipe, Waits};

/// The end of a pipe that is read from.
///
/// Made by [`pipe`](super::pipe()), [`OpenOptions`](super::OpenOptions) or
/// [`from_std`](Self::from_std). Dropped, it is closed: writers then fail with `BrokenPipe`.
///
/// # Example
///
/// The lines that another program prints:
///
/// ```
/// use annulus::io::StreamReader;
/// use annulus::pipe::Receiver;
/// use std::process::{Command, Stdio};
///
/// annulus::run(async {
///     let mut child = Command::new("echo").arg("one\ntwo").stdout(Stdio::piped()).spawn()?;
///     let output = Receiver::from_std(child.stdout.take().unwrap())?;
///     let mut reader = StreamReader::new(output);
///     assert_eq!(&*reader.read_line().await?, b"one\n");
///     assert_eq!(&*reader.read_line().await?, b"two\n");
///     child.wait()?;
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Receiver {
    pub(super) end: Rc<PipeEnd>,
}

/// What a [`Receiver`] becomes outside of its runtime.
#[derive(Debug)]
#[non_exhaustive]
pub struct IntoFd {
    /// The end of the pipe.
    pub fd: OwnedFd,
    /// What dropped reads had read: it comes before what the pipe still holds.
    pub unread: Vec<u8>,
}

impl Receiver {
    pub(super) fn new(end: PipeEnd) -> Self {
        Self { end: Rc::new(end) }
    }

    /// The end of a pipe that nothing else shares, and that does not block.
    pub(crate) fn of_own(driver: &Rc<Driver>, fd: OwnedFd) -> Self {
        Self::new(PipeEnd::nonblocking(driver, fd))
    }

    /// Takes over the end of a pipe: a `PipeReader`, `ChildStdout` or `ChildStderr` of the standard
    /// library, or any descriptor of one.
    ///
    /// Whether it blocks is not changed, since other processes may share it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no pipe or FIFO, or not open for reading. It is closed then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "from_owned_fd")]
    #[doc(alias = "from_file")]
    #[track_caller]
    pub fn from_std(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        adopt(fd.into(), Direction::Read).map(Self::new)
    }

    /// Reads available bytes into a runtime-owned buffer, and lends it.
    ///
    /// No bytes mean EOF: all writers have closed their end, or a FIFO has no writer yet. The
    /// buffer is chosen when bytes have arrived, so a pipe that waits holds none.
    ///
    /// # Errors
    ///
    /// The kernel's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: what had arrived is what the next read returns.
    pub fn recv(&mut self) -> impl Future<Output = io::Result<Lease>> {
        pipe_ops::recv(&self.end)
    }

    /// Reads available bytes, at most as many as the buffer has capacity for.
    ///
    /// It reads at least one byte; zero bytes mean EOF, or that the buffer has no capacity.
    ///
    /// # Errors
    ///
    /// The kernel's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no byte is lost: what had arrived is what the next read returns. The buffer is.
    pub fn read<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        pipe_ops::read(&self.end, buffer)
    }

    /// Reads available bytes at once, or nothing.
    ///
    /// Zero bytes mean EOF, or that the memory is empty.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing to read; also while a dropped read has not ended, when the
    /// task has done so much at once that others are to be polled first, and if the descriptor
    /// could only be read by a kernel worker. Otherwise the kernel's.
    pub fn try_read(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        try_read(&self.end, memory)
    }

    /// Waits until there is something to read, or EOF.
    ///
    /// # Errors
    ///
    /// The kernel's, and if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn readable(&self) -> io::Result<()> {
        pipe_ops::readable(&self.end).await
    }

    /// How many bytes the pipe holds.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn capacity(&self) -> io::Result<usize> {
        sys_pipe::capacity(self.as_fd()).describe("fcntl(F_GETPIPE_SZ)")
    }

    /// Sets how many bytes the pipe holds, and returns how many that is.
    ///
    /// The number is rounded up to a power of two of pages.
    ///
    /// # Errors
    ///
    /// The kernel's: `PermissionDenied` above `/proc/sys/fs/pipe-max-size` (1 MiB) without
    /// privilege, `ResourceBusy` if the pipe holds more already.
    pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
        sys_pipe::set_capacity(self.as_fd(), bytes).describe("fcntl(F_SETPIPE_SZ)")
    }

    /// Returns the descriptor, and what dropped reads had read, once none of them is in flight.
    ///
    /// A pipe that was made here is non-blocking; see [`into_blocking_fd`](Self::into_blocking_fd).
    ///
    /// # Errors
    ///
    /// If an operation still uses it and it cannot be duplicated.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the end is closed.
    #[doc(alias = "into_nonblocking_fd")]
    pub async fn into_owned_fd(self) -> io::Result<IntoFd> {
        pipe_ops::drain_reads(&self.end).await;
        // An error comes again from the kernel: pipes have none that it reports once.
        let unread = self.end.take_all_unread().and_then(Result::ok).unwrap_or_default();
        Ok(IntoFd { fd: self.end.into_fd().describe("duplicate a pipe")?, unread })
    }

    /// Like [`into_owned_fd`](Self::into_owned_fd), with a descriptor that blocks.
    ///
    /// Other programs expect that.
    ///
    /// # Errors
    ///
    /// As for [`into_owned_fd`](Self::into_owned_fd).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the end is closed.
    pub async fn into_blocking_fd(self) -> io::Result<IntoFd> {
        let into = self.into_owned_fd().await?;
        sys_pipe::set_waits(into.fd.as_fd(), Waits::Yes).describe("fcntl(F_SETFL)")?;
        Ok(into)
    }
}

impl AsyncRead for Receiver {
    async fn recv(&mut self) -> io::Result<Lease> {
        pipe_ops::recv(&self.end).await
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        pipe_ops::read(&self.end, buffer).await
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.fd().as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.end.fd().as_raw_fd()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("fd", &self.as_raw_fd()).finish()
    }
}
