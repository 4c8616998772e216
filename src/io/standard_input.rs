//! The standard input of the process.

use std::cell::OnceCell;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::{fmt, io};

use super::lines::Lines;
use super::standard_stream::{Standard, StandardStream, Way};
use super::{AsyncRead, StreamReader, pipe_ops};
use crate::buf::{BufResult, IoBufMut, Lease};
use crate::op::PipeEnd;
use crate::runtime::context;

/// Returns a handle to the standard input of the process, whatever that is.
///
/// There may be any number of handles: of those of one runtime, one reads at a time, in the order
/// in which they asked. Runtimes on several threads, and other processes that share the input, each
/// get a part of it.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```no_run
/// use annulus::io::stdin;
/// use futures_util::StreamExt;
///
/// annulus::run(async {
///     let mut lines = stdin().lines();
///     while let Some(line) = lines.next().await {
///         println!("{}", line?.to_uppercase());
///     }
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "sys.stdin")]
#[track_caller]
pub fn stdin() -> Stdin {
    context::driver();
    Stdin { stream: OnceCell::new() }
}

/// The standard input: a terminal, a pipe, a file, a socket, a device, or nothing.
///
/// Whether the descriptor blocks is not changed, as it is shared with the shell and with programs
/// that are started from here. While a read waits, no thread does: a terminal is opened once more
/// for that. (Without `/proc`, or the permission, a kernel worker reads what a poll has reported.)
///
/// Bytes that a dropped read had read are kept for the next one of the process, on any runtime.
///
/// A descriptor that is closed reads as EOF, as it does in the standard library.
/// `std::io::stdin` has a buffer of its own, which this knows nothing of: do not use both.
pub struct Stdin {
    /// Made by the first read.
    stream: OnceCell<Rc<StandardStream>>,
}

impl Stdin {
    fn stream(&self) -> io::Result<(&StandardStream, &Rc<PipeEnd>)> {
        if self.stream.get().is_none() {
            let _ = self.stream.set(StandardStream::get(Standard::Input)?);
        }
        let stream = self.stream.get().expect("the line before has made it");
        match &stream.way {
            Way::End(end) => Ok((stream, end)),
            Way::Socket(_) => unreachable!("what is read is read as of a pipe"),
        }
    }

    /// Reads available bytes into a runtime-owned buffer, and lends it. No bytes mean EOF.
    ///
    /// A terminal returns a line at a time.
    ///
    /// # Errors
    ///
    /// The kernel's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: what had arrived is what the next read returns.
    pub async fn recv(&mut self) -> io::Result<Lease> {
        let (stream, end) = self.stream()?;
        let _reading = stream.lock.lock().await;
        pipe_ops::recv(end).await
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
    pub async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        let (stream, end) = match self.stream() {
            Ok(parts) => parts,
            Err(error) => return BufResult(Err(error), buffer),
        };
        let _reading = stream.lock.lock().await;
        pipe_ops::read(end, buffer).await
    }

    /// Streams the lines as `String`s until EOF, without their `\n` or `\r\n`.
    ///
    /// A line that is not UTF-8, or is longer than 64 KiB, yields an `InvalidData` error, and the
    /// following lines are yielded after it. An error of the input ends the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream puts back what it has read and not yielded, for the next read.
    #[doc(alias = "input")]
    pub fn lines(self) -> Lines<'static> {
        Lines::of(KeptReader(Some(StreamReader::new(self))))
    }

    /// Puts back bytes that were read, before all others: the next read of the process returns
    /// them.
    ///
    /// For what a [`StreamReader`] has buffered: `let (mut stdin, rest) = reader.into_parts();`.
    pub fn put_back(&mut self, bytes: &[u8]) {
        if let Ok((_, end)) = self.stream() {
            end.put_front(bytes);
        }
    }

    /// Returns whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        io::IsTerminal::is_terminal(&io::stdin())
    }
}

impl AsyncRead for Stdin {
    async fn recv(&mut self) -> io::Result<Lease> {
        Self::recv(self).await
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        Self::read(self, buffer).await
    }
}

impl AsRawFd for Stdin {
    /// Zero.
    fn as_raw_fd(&self) -> RawFd {
        Standard::Input.number()
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}

/// A reader that puts back what it has buffered.
struct KeptReader(Option<StreamReader<Stdin>>);

impl Deref for KeptReader {
    type Target = StreamReader<Stdin>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect(UNTIL_DROPPED)
    }
}

impl DerefMut for KeptReader {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().expect(UNTIL_DROPPED)
    }
}

const UNTIL_DROPPED: &str = "only the drop takes the reader";

impl Drop for KeptReader {
    fn drop(&mut self) {
        if let Some(reader) = self.0.take() {
            let (mut stdin, rest) = reader.into_parts();
            if !rest.is_empty() {
                stdin.put_back(&rest);
            }
        }
    }
}
