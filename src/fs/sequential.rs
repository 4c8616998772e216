//! Reading and writing one after the other, as from a stream: see
//! [`Cursor`](super::cursor::Cursor).

use std::future::{Future, poll_fn};
use std::io::{self, SeekFrom};
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{Either, ready};

use super::File;
use super::cursor::Target;
use crate::blocking::to_thread;
use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::error::{Describe, describe};
use crate::io::{AsyncRead, AsyncWrite};
use crate::op::{FileFd, LeaseBuffer, Op, ReadAt, ReadStream, WriteAt};
use crate::sys::errno::ESPIPE;
use crate::sys::file::seek;
use crate::task::coop;

impl File {
    /// Reads from the cursor on, at most the buffer's capacity, and moves the cursor.
    ///
    /// Zero bytes mean the end of the file, or a buffer without capacity.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `IsADirectory`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses no byte, only the buffer: the next read returns the same bytes. (Also of a
    /// pipe or a terminal, where they are kept for it.)
    pub fn read<B: IoBufMut>(
        &mut self,
        buffer: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        let Self { file, cursor, .. } = self;
        let offset = match cursor.offset(file) {
            Ok(Some(offset)) => offset,
            Ok(None) => return Either::Right(Either::Left(read_stream(file, buffer))),
            Err(error) => {
                return Either::Right(Either::Right(ready(BufResult(Err(error), buffer))));
            }
        };
        let read = Op::new(file.driver(), ReadAt::new(file, buffer, offset));
        Either::Left(read.map(move |BufResult(read, buffer)| {
            if let Ok(count) = read {
                cursor.advance(offset, count);
            }
            BufResult(read, buffer)
        }))
    }

    /// Fills a buffer from the cursor on, and moves the cursor behind what it has read.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before. After this and any other error the cursor is where
    /// it was.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](Self::read).
    pub fn read_exact<B: IoBufMut>(
        &mut self,
        buffer: B,
    ) -> impl Future<Output = BufResult<(), B>> + use<'_, B> {
        let Self { file, cursor, .. } = self;
        let length = buffer.bytes_total();
        let offset = match cursor.offset(file) {
            _ if length == 0 => Err(Ok(())),
            Ok(Some(offset)) => Ok(offset),
            Ok(None) => return Either::Right(Either::Left(read_stream_exact(file, buffer))),
            Err(error) => Err(Err(error)),
        };
        let offset = match offset {
            Ok(offset) => offset,
            Err(known) => return Either::Right(Either::Right(ready(BufResult(known, buffer)))),
        };
        let read = Op::new(file.driver(), ReadAt::exact(file, buffer, offset));
        Either::Left(read.map(move |BufResult(read, buffer)| {
            if read.is_ok() {
                cursor.advance(offset, length);
            }
            BufResult(read.map(drop), buffer)
        }))
    }

    /// Reads the next bytes into a runtime-owned buffer, up to 256 KiB, and moves the cursor.
    ///
    /// No bytes mean the end of the file. A [`StreamReader`](crate::io::StreamReader) reads so.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](Self::read).
    pub async fn recv(&mut self) -> io::Result<Lease> {
        let buffer = LeaseBuffer::new(self.file.driver());
        let BufResult(read, buffer) = self.read(buffer).await;
        read.map(|_| buffer.lend())
    }

    /// Writes a buffer at the cursor, perhaps not all of it.
    ///
    /// Moves the cursor, and returns how many bytes were written.
    ///
    /// In a file that was opened with [`append`](super::OpenOptions::append) the bytes go to the
    /// end, and the cursor moves behind them.
    ///
    /// # Errors
    ///
    /// As for [`write_at`](Self::write_at).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the write may happen in full, in part or not at all, and the cursor stays where it
    /// was. The next operation of this file [waits for it](Self#dropped-writes).
    pub async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
        self.write_with(buffer, false).await
    }

    /// Writes all of a buffer at the cursor, and moves the cursor.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write). A part may have been written; the cursor is where it was.
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](Self::write).
    pub async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        if buffer.bytes_init() == 0 {
            return BufResult(Ok(()), buffer);
        }
        self.write_with(buffer, true).await.map(drop)
    }

    async fn write_with<B: IoBuf>(&mut self, buffer: B, is_all: bool) -> BufResult<usize, B> {
        let Self { file, cursor, .. } = self;
        let target = match cursor.target(file) {
            Ok(target) => target,
            Err(error) => return BufResult(Err(error), buffer),
        };
        let write = match target {
            Target::Offset(offset) if is_all => WriteAt::all(file, buffer, offset),
            Target::Offset(offset) => WriteAt::new(file, buffer, offset),
            Target::End | Target::Stream => WriteAt::at_own_position(file, buffer, is_all),
        };
        let BufResult(mut written, buffer) = Op::new(file.driver(), write).await;
        if let Ok(count) = written {
            match target {
                Target::Offset(offset) => cursor.advance(offset, count),
                Target::End if count > 0 => written = cursor.take_over(file).map(|()| count),
                Target::End | Target::Stream => {}
            }
        }
        BufResult(written, buffer)
    }

    /// Moves the cursor, and returns its offset from the start of the file.
    ///
    /// It may be moved beyond the end: a write then leaves a hole. The end is looked up on a
    /// thread, since a network file system asks its server; it waits for dropped writes first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an offset before the start or beyond `i64::MAX`; the kernel's, such as
    /// `NotSeekable` for a pipe. The cursor stays where it was.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the cursor stays where it was.
    pub async fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let Self { file, cursor, .. } = self;
        let (base, distance) = match to {
            SeekFrom::Start(offset) => (0, i128::from(offset)),
            SeekFrom::Current(distance) => {
                let Some(offset) = cursor.offset(file)? else { return Err(not_seekable()) };
                (offset, i128::from(distance))
            }
            SeekFrom::End(distance) => (end(file).await?, i128::from(distance)),
        };
        if cursor.offset(file)?.is_none() {
            return Err(not_seekable());
        }
        let offset = i64::try_from(i128::from(base) + distance).ok();
        let offset = offset.and_then(|offset| u64::try_from(offset).ok()).ok_or_else(|| {
            let text = "the offset is before the start of the file, or beyond i64::MAX";
            describe("seek", io::Error::new(io::ErrorKind::InvalidInput, text))
        })?;
        cursor.set(offset);
        Ok(offset)
    }

    /// Returns where the cursor is: its offset from the start of the file.
    ///
    /// # Errors
    ///
    /// `NotSeekable` for a file without offsets, such as a pipe.
    pub fn stream_position(&mut self) -> io::Result<u64> {
        self.cursor.offset(&self.file)?.ok_or_else(not_seekable)
    }

    /// Moves the cursor to the start of the file.
    ///
    /// # Errors
    ///
    /// As for [`stream_position`](Self::stream_position).
    pub fn rewind(&mut self) -> io::Result<()> {
        self.stream_position()?;
        self.cursor.set(0);
        Ok(())
    }
}

fn not_seekable() -> io::Error {
    describe("seek", io::Error::from_raw_os_error(ESPIPE))
}

/// The end of a file, once dropped writes are over. On a thread, with a descriptor of its own: the
/// file may be closed meanwhile.
async fn end(file: &Rc<FileFd>) -> io::Result<u64> {
    poll_fn(|context| file.poll_writes_drained(context)).await;
    let fd = file.fd()?.try_clone().describe("duplicate the descriptor")?;
    to_thread(move || seek(&fd, SeekFrom::End(0))).await?.describe("seek")
}

/// Reads from a file without offsets.
async fn read_stream<B: IoBufMut>(file: &Rc<FileFd>, mut buffer: B) -> BufResult<usize, B> {
    poll_fn(|context| file.poll_reads_drained(context)).await;
    if buffer.bytes_total() > 0 && file.has_unread() {
        poll_fn(|context| coop::poll_spend(context)).await;
        return BufResult(file.take_unread(&mut buffer), buffer);
    }
    Op::new(file.driver(), ReadStream::new(file, buffer)).await
}

/// Fills a buffer from a file without offsets. Until there is enough, the bytes are unread ones of
/// the file, so that a drop loses none.
async fn read_stream_exact<B: IoBufMut>(file: &Rc<FileFd>, mut buffer: B) -> BufResult<(), B> {
    poll_fn(|context| file.poll_reads_drained(context)).await;
    loop {
        let missing = buffer.bytes_total().saturating_sub(file.unread_bytes());
        if missing == 0 {
            poll_fn(|context| coop::poll_spend(context)).await;
            return BufResult(file.take_unread(&mut buffer).map(drop), buffer);
        }
        let read = if file.has_unread_end() {
            // First the bytes, then what is behind them.
            file.take_unread(&mut buffer).and_then(|_| file.take_unread(&mut buffer))
        } else {
            let more = Vec::with_capacity(missing.min(MAX_STEP));
            let BufResult(read, more) = Op::new(file.driver(), ReadStream::new(file, more)).await;
            file.put_back(&more);
            read
        };
        match read {
            Ok(0) => {
                let text = format!("the file ends {missing} bytes before the end of the buffer");
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, text);
                return BufResult(Err(describe("read", error)), buffer);
            }
            Ok(_) => {}
            Err(error) => return BufResult(Err(error), buffer),
        }
    }
}

/// How many bytes a step of an exact read of a stream reads at most.
const MAX_STEP: usize = 64 * 1024;

impl AsyncRead for File {
    async fn recv(&mut self) -> io::Result<Lease> {
        Self::recv(self).await
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        Self::read(self, buffer).await
    }
}

impl AsyncWrite for File {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        Self::write_all(self, buffer).await
    }

    /// Does nothing: a file has no peer. To make it durable, call [`sync_all`](File::sync_all).
    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing.
    fn abort(&mut self) {}
}
