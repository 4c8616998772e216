//! The end of a pipe that is written to.

use std::any::Any;
use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::{fmt, io};

use futures_util::future::Either;

use super::adopt::{Direction, adopt};
use crate::buf::{BufResult, IoBuf};
use crate::driver::Driver;
use crate::error::Describe;
use crate::io::{AsyncWrite, pipe_ops};
use crate::op::{Op, PipeEnd, PipeReady, try_write};
use crate::sys::pipe::{self as sys_pipe, Waits};

/// The end of a pipe that is written to.
///
/// Made by [`pipe`](super::pipe()), [`OpenOptions`](super::OpenOptions) or
/// [`from_std`](Self::from_std). Dropped, it is closed: the reader then reads EOF, after what was
/// written.
///
/// A write to a pipe without a reader fails with `BrokenPipe`. It raises no SIGPIPE, even where
/// that is not ignored.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let (mut sender, receiver) = annulus::pipe::pipe()?;
///     drop(receiver);
///     sender.closed().await?;
///     let error = sender.write_all("no reader").await.0.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sender {
    /// `None` once it has been shut down.
    end: Option<Rc<PipeEnd>>,
}

impl Sender {
    pub(super) fn new(end: PipeEnd) -> Self {
        Self { end: Some(Rc::new(end)) }
    }

    /// The end of a pipe that nothing else shares, and that does not block.
    pub(crate) fn of_own(driver: &Rc<Driver>, fd: OwnedFd) -> Self {
        Self::new(PipeEnd::nonblocking(driver, fd))
    }

    pub(super) fn end(&self) -> io::Result<&Rc<PipeEnd>> {
        self.end.as_ref().ok_or_else(|| {
            io::Error::new(io::ErrorKind::BrokenPipe, "this end of the pipe has been shut down")
        })
    }

    /// Takes over the end of a pipe: a `PipeWriter` or `ChildStdin` of the standard library, or any
    /// descriptor of one.
    ///
    /// Whether it blocks is not changed, since other processes may share it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no pipe or FIFO, or not open for writing. It is closed then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "from_owned_fd")]
    #[doc(alias = "from_file")]
    #[track_caller]
    pub fn from_std(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        adopt(fd.into(), Direction::Write).map(Self::new)
    }

    /// Writes a buffer, as much as there is room for, and returns how many bytes.
    ///
    /// At most 4096 bytes (`PIPE_BUF`) are written all at once, so that they are not mixed with
    /// those of other writers.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if there is no reader; otherwise the kernel's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have written a part of the buffer.
    pub fn write<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        match self.end() {
            Ok(end) => Either::Left(pipe_ops::write(end, buffer)),
            Err(error) => Either::Right(std::future::ready(BufResult(Err(error), buffer))),
        }
    }

    /// Writes all of a buffer.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if there is no reader; otherwise the kernel's. A part may have been written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have written a part of the buffer, of unknown length. A
    /// [`StreamWriter`](crate::io::StreamWriter) avoids that.
    pub fn write_all<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<(), B>> {
        match self.end() {
            Ok(end) => Either::Left(pipe_ops::write_all(end, buffer)),
            Err(error) => Either::Right(std::future::ready(BufResult(Err(error), buffer))),
        }
    }

    /// Writes at once as much as there is room for, and returns how many bytes.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; also while a dropped write has not ended, when the task
    /// has done so much at once that others are to be polled first, and if the descriptor could
    /// only be written by a kernel worker. Otherwise as for [`write`](Self::write).
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        try_write(self.end()?, bytes)
    }

    /// Waits until there is room, or no reader is left.
    ///
    /// # Errors
    ///
    /// The kernel's, and if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn writable(&self) -> io::Result<()> {
        let end = self.end()?;
        Op::new(end.driver(), PipeReady::to_write(end)).await
    }

    /// Waits until no reader is left.
    ///
    /// # Errors
    ///
    /// The kernel's, and if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn closed(&self) -> io::Result<()> {
        let Ok(end) = self.end() else { return Ok(()) };
        Op::new(end.driver(), PipeReady::other_closed(end)).await
    }

    /// Closes this end, after dropped writes have ended: the reader reads EOF.
    ///
    /// # Errors
    ///
    /// None. Later writes fail with `BrokenPipe`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the end is open as before.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        if let Some(end) = &self.end {
            pipe_ops::drain_writes(end).await;
        }
        drop(self.end.take());
        Ok(())
    }

    /// How many bytes the pipe holds.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn capacity(&self) -> io::Result<usize> {
        sys_pipe::capacity(self.end()?.fd().as_fd()).describe("fcntl(F_GETPIPE_SZ)")
    }

    /// Sets how many bytes the pipe holds, and returns how many that is.
    ///
    /// The number is rounded up to a power of two of pages.
    ///
    /// # Errors
    ///
    /// As for [`Receiver::set_capacity`](super::Receiver::set_capacity).
    pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
        let fd = self.end()?.fd().as_fd();
        sys_pipe::set_capacity(fd, bytes).describe("fcntl(F_SETPIPE_SZ)")
    }

    /// Returns the descriptor, once no dropped write is in flight.
    ///
    /// A pipe that was made here is non-blocking; see [`into_blocking_fd`](Self::into_blocking_fd).
    ///
    /// # Errors
    ///
    /// If it has been shut down; and if an operation still uses it and it cannot be duplicated.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the end is closed.
    #[doc(alias = "into_nonblocking_fd")]
    pub async fn into_owned_fd(mut self) -> io::Result<OwnedFd> {
        pipe_ops::drain_writes(self.end()?).await;
        let end = self.end.take().expect("the line before has seen it");
        end.into_fd().describe("duplicate a pipe")
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
    pub async fn into_blocking_fd(self) -> io::Result<OwnedFd> {
        let fd = self.into_owned_fd().await?;
        sys_pipe::set_waits(fd.as_fd(), Waits::Yes).describe("fcntl(F_SETFL)")?;
        Ok(fd)
    }
}

impl AsyncWrite for Sender {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        Self::write_all(self, buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self).await
    }

    /// Closes this end. A pipe has no reset: the reader reads EOF.
    fn abort(&mut self) {
        drop(self.end.take());
    }

    fn connection(&self) -> Option<Weak<dyn Any>> {
        self.end.as_ref().map(|end| Rc::downgrade(end) as Weak<dyn Any>)
    }
}

impl AsFd for Sender {
    /// # Panics
    ///
    /// If it has been shut down.
    fn as_fd(&self) -> BorrowedFd<'_> {
        let end = self.end.as_ref().expect("`Sender::as_fd` called after `shutdown`");
        end.fd().as_fd()
    }
}

impl AsRawFd for Sender {
    /// # Panics
    ///
    /// If it has been shut down.
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fd = self.end.as_ref().map(|end| end.fd().as_raw_fd());
        f.debug_struct("Sender").field("fd", &fd).finish()
    }
}
