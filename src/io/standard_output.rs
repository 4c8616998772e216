//! The standard output and the standard error of the process.

use std::cell::OnceCell;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::{fmt, io};

use super::standard_stream::{Standard, StandardStream, Way};
use super::{AsyncWrite, pipe_ops};
use crate::buf::{BufResult, IoBuf};
use crate::op::{One, Op, SendBytes};
use crate::runtime::context;

/// Returns a handle to the standard output of the process, whatever that is.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     annulus::io::stdout().write_all("hello\n").await.0
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "sys.stdout")]
#[track_caller]
pub fn stdout() -> Stdout {
    context::driver();
    Stdout { stream: OnceCell::new() }
}

/// Returns a handle to the standard error of the process, whatever that is.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     annulus::io::stderr().write_all("something is wrong\n").await.0
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "sys.stderr")]
#[track_caller]
pub fn stderr() -> Stderr {
    context::driver();
    Stderr { stream: OnceCell::new() }
}

fn stream(cell: &OnceCell<Rc<StandardStream>>, which: Standard) -> io::Result<&StandardStream> {
    if cell.get().is_none() {
        let _ = cell.set(StandardStream::get(which)?);
    }
    Ok(cell.get().expect("the line before has made it"))
}

async fn write<B: IoBuf>(stream: io::Result<&StandardStream>, buffer: B) -> BufResult<usize, B> {
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return BufResult(Err(error), buffer),
    };
    let _writing = stream.lock.lock().await;
    match &stream.way {
        Way::Socket(socket) if buffer.bytes_init() > 0 => {
            Op::new(socket.driver(), SendBytes::some(socket, One::new(buffer))).await
        }
        Way::Socket(_) => BufResult(Ok(0), buffer),
        Way::End(end) => pipe_ops::write(end, buffer).await,
    }
}

async fn write_all<B: IoBuf>(stream: io::Result<&StandardStream>, buffer: B) -> BufResult<(), B> {
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return BufResult(Err(error), buffer),
    };
    let _writing = stream.lock.lock().await;
    match &stream.way {
        Way::Socket(socket) if buffer.bytes_init() > 0 => {
            let all = SendBytes::all(socket, One::new(buffer));
            Op::new(socket.driver(), all).await.map(drop)
        }
        Way::Socket(_) => BufResult(Ok(()), buffer),
        Way::End(end) => pipe_ops::write_all(end, buffer).await,
    }
}

macro_rules! output {
    ($type:ident, $which:expr, $std:path, $name:literal) => {
        #[doc = concat!("The ", $name, ": a terminal, a pipe, a file, a socket, a device, or")]
        /// nothing.
        ///
        /// Whether the descriptor blocks is not changed, as it is shared with the shell and with
        /// programs that are started from here. While a write waits for room, no thread does: a
        /// terminal is opened once more for that. (Without `/proc`, or the permission, a kernel
        /// worker writes.) A file is written at its position.
        ///
        /// Nothing is buffered: each write is a system call. Write whole lines, or use a
        /// [`StreamWriter`](crate::io::StreamWriter). Of the handles of one runtime, one writes at
        /// a time, so what a [`write_all`](Self::write_all) writes is not mixed with what others
        /// write.
        ///
        /// A write to a pipe that no process reads fails with `BrokenPipe`, and raises no SIGPIPE.
        /// A descriptor that is closed takes all that is written, as it does in the standard
        /// library.
        pub struct $type {
            /// Made by the first write.
            stream: OnceCell<Rc<StandardStream>>,
        }

        impl $type {
            fn stream(&self) -> io::Result<&StandardStream> {
                stream(&self.stream, $which)
            }

            /// Writes a buffer, as much as there is room for, and returns how many bytes.
            ///
            /// # Errors
            ///
            /// `BrokenPipe` if it is a pipe without a reader; otherwise the kernel's.
            ///
            /// # Cancel safety
            ///
            /// Dropped, it may have written a part of the buffer.
            pub async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
                write(self.stream(), buffer).await
            }

            /// Writes all of a buffer.
            ///
            /// # Errors
            ///
            /// As for [`write`](Self::write). A part may have been written.
            ///
            /// # Cancel safety
            ///
            /// Dropped, it may have written a part of the buffer, of unknown length. A
            /// [`StreamWriter`](crate::io::StreamWriter) avoids that.
            pub async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
                write_all(self.stream(), buffer).await
            }

            /// Returns whether it is a terminal.
            pub fn is_terminal(&self) -> bool {
                io::IsTerminal::is_terminal(&$std())
            }
        }

        impl AsyncWrite for $type {
            async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
                Self::write_all(self, buffer).await
            }

            /// Does nothing: the descriptor stays open.
            async fn shutdown(&mut self) -> io::Result<()> {
                Ok(())
            }

            /// Does nothing: the descriptor stays open.
            fn abort(&mut self) {}
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                $which.number()
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        }
    };
}

output!(Stdout, Standard::Output, io::stdout, "standard output");
output!(Stderr, Standard::Error, io::stderr, "standard error");
