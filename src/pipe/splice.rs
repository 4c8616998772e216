//! Moving bytes from pipe to pipe and from file to pipe without copying them (splice and tee).
//!
//! Bytes that dropped reads have left come first; they are copied.

use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;

use super::{Receiver, Sender};
use crate::fs::File;
use crate::io::pipe_ops;
use crate::op::{Op, PipeEnd, PipeReady, SpliceFile, SplicePipes, transfer_unread};
use crate::sys::splice::Transfer;
use crate::task::coop;

impl Receiver {
    /// Moves available bytes to another pipe without copying them.
    ///
    /// Moves at most `length` bytes, and returns how many.
    ///
    /// It moves at least one byte; zero means EOF, or that the length is zero. It waits for bytes
    /// here and for room there by polls, and costs no kernel worker. What it gains is in
    /// [the module's documentation](super#without-copies).
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if there is no reader there; `InvalidInput` if both are the same pipe;
    /// `Unsupported` where dropped reads have left bytes and only a kernel worker could write them
    /// (before Linux 6.5, a pipe made elsewhere, without `/proc`). Otherwise the kernel's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has moved nothing.
    ///
    /// # Example
    ///
    /// ```
    /// annulus::run(async {
    ///     let (mut producer, mut input) = annulus::pipe::pipe()?;
    ///     let (mut output, mut consumer) = annulus::pipe::pipe()?;
    ///     producer.write_all("hello").await.0?;
    ///     drop(producer);
    ///     while input.splice_to(&mut output, 64 * 1024).await? > 0 {}
    ///     assert_eq!(&*consumer.recv().await?, b"hello");
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "splice")]
    pub fn splice_to(
        &mut self,
        to: &mut Sender,
        length: usize,
    ) -> impl Future<Output = io::Result<usize>> {
        transfer(Transfer::Move, &self.end, to, length)
    }

    /// Duplicates available bytes into another pipe without copying them.
    ///
    /// Duplicates at most `length` bytes, which stay to be read here, and returns how many.
    ///
    /// It begins with the next byte to be read: called again before that is read, it duplicates
    /// the same bytes. Zero means EOF, or that the length is zero. With a
    /// [`splice_to`](Self::splice_to) of as many bytes after it, it feeds two pipes.
    ///
    /// # Errors
    ///
    /// As for [`splice_to`](Self::splice_to).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has duplicated nothing.
    ///
    /// # Example
    ///
    /// ```
    /// annulus::run(async {
    ///     let (mut producer, mut input) = annulus::pipe::pipe()?;
    ///     let (mut output, mut consumer) = annulus::pipe::pipe()?;
    ///     producer.write_all("hello").await.0?;
    ///     assert_eq!(input.tee_to(&mut output, 1024).await?, 5);
    ///     assert_eq!(&*consumer.recv().await?, b"hello");
    ///     assert_eq!(&*input.recv().await?, b"hello");
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "tee")]
    pub fn tee_to(
        &mut self,
        to: &mut Sender,
        length: usize,
    ) -> impl Future<Output = io::Result<usize>> {
        transfer(Transfer::Duplicate, &self.end, to, length)
    }
}

impl Sender {
    /// Moves bytes of a file from an offset into the pipe without copying them.
    ///
    /// Moves as many as there is room for, at most `length` and 64 KiB, and returns how many.
    ///
    /// It moves at least one byte; zero means the end of the file, or that the length is zero. What
    /// is in memory is moved at once; a kernel worker waits for the disk, and never for room in the
    /// pipe. The cursor of the file is neither used nor moved.
    ///
    /// The pipe then refers to the file's pages: if the file is written to before the reader has
    /// read them, the reader may get the new bytes.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if there is no reader; `InvalidInput` for an offset beyond `i64::MAX`, and for
    /// files that cannot be spliced, such as some of `/proc`. Otherwise the kernel's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have moved a part, of unknown length. The next write comes after that.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::fs::File;
    ///
    /// annulus::run(async {
    ///     let file = File::open("/proc/self/exe").await?;
    ///     let (mut sender, mut receiver) = annulus::pipe::pipe()?;
    ///     assert_eq!(sender.splice_from(&file, 1, 3).await?, 3);
    ///     assert_eq!(&*receiver.recv().await?, b"ELF");
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "splice")]
    #[doc(alias = "sendfile")]
    pub async fn splice_from(
        &mut self,
        file: &File,
        offset: u64,
        length: usize,
    ) -> io::Result<usize> {
        let end = self.end()?;
        if length == 0 {
            poll_fn(|context| coop::poll_spend(context)).await;
            return Ok(0);
        }
        Op::new(end.driver(), SpliceFile::new(file.shared(), offset, end, length)?).await
    }
}

async fn transfer(
    transfer: Transfer,
    from: &Rc<PipeEnd>,
    to: &mut Sender,
    length: usize,
) -> io::Result<usize> {
    let to = to.end()?;
    if length == 0 {
        poll_fn(|context| coop::poll_spend(context)).await;
        return Ok(0);
    }
    poll_fn(|context| from.poll_readable(context)).await;
    while from.has_unread() {
        pipe_ops::drain_writes(to).await;
        match transfer_unread(transfer, from, to, length) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Op::new(to.driver(), PipeReady::to_write(to)).await?;
            }
            outcome => return outcome,
        }
    }
    Op::new(from.driver(), SplicePipes::new(transfer, from, to, length)?).await
}
