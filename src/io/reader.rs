//! A reader that keeps what has been received and not read. Lines and records are in `records` and
//! `lines`.

use std::fmt;
use std::future::poll_fn;
use std::io;

use super::read_buffer::ReadBuffer;
use super::records::Overlong;
use super::{AsyncRead, ReadError};
use crate::buf::{BufResult, IoBufMut, Lease};
use crate::error::again;
use crate::task::budget;

/// How many bytes a line or record may have, if nobody says otherwise.
const LIMIT: usize = 64 * 1024;

/// Reads lines, records and exact numbers of bytes from something that bytes come from.
///
/// What is read is a [`Lease`], which derefs to `[u8]`: a line that was received as a whole is not
/// copied. So a line that is kept keeps the whole buffer that it was received in, of 4 KiB or more,
/// however short it is: to keep lines for long, copy them (`line.to_vec()`).
///
/// A reader holds no more than its limit, by default 64 KiB, and what was received last; what is read
/// by an exact number, or to the end, may be more. One that is not read from holds nothing but what is
/// left. The limit does not count the separator, and can be [changed](Self::set_limit) at any time.
///
/// # Errors
///
/// An error of the stream comes behind the bytes that were received before it, and is final: every
/// method gives it again, with its kind, [number](crate::raw_os_error) and text, so that what was cut off
/// is never taken for whole. `Interrupted`, `WouldBlock` and `OutOfMemory` are not final. The end is
/// final, too: once met, it is known without asking the stream again.
///
/// # Cancel safety
///
/// Every method can be dropped at any moment and called again: what was received stays in the reader.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, open_connection};
///
/// annulus::run(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let server = annulus::spawn(async move {
///         let (mut stream, _) = listener.accept().await?;
///         stream.write_all("length: 4\r\n\r\nbody").await.0
///     });
///     let (mut reader, _writer) = open_connection(address).await?;
///     assert_eq!(&*reader.read_line().await?, b"length: 4\r\n");
///     assert_eq!(&*reader.read_until(b"\r\n").await?, b"\r\n");
///     assert_eq!(&*reader.read_exact(4).await?, b"body");
///     assert!(reader.read(100).await?.is_empty());
///     assert!(reader.at_eof());
///     server.await?
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.StreamReader")]
pub struct StreamReader<R> {
    source: R,
    pub(super) unread: ReadBuffer,
    pub(super) limit: usize,
    end: End,
    /// Boxed, as there is hardly ever one.
    pub(super) overlong: Option<Box<Overlong>>,
}

/// What comes behind the bytes that were received.
#[derive(Debug)]
enum End {
    /// More, or it is not known.
    Unknown,
    Met,
    Failed(io::Error),
}

impl End {
    /// Learns from a receive. Whether more may come.
    fn note(&mut self, received: io::Result<bool>) -> io::Result<bool> {
        use io::ErrorKind::{Interrupted, OutOfMemory, WouldBlock};
        match &received {
            Ok(true) => {}
            Ok(false) => *self = Self::Met,
            Err(error) if matches!(error.kind(), Interrupted | OutOfMemory | WouldBlock) => {}
            Err(error) => *self = Self::Failed(again(error)),
        }
        received
    }

    /// Whether more may come.
    fn may_come(&self) -> io::Result<bool> {
        match self {
            Self::Unknown => Ok(true),
            Self::Met => Ok(false),
            Self::Failed(error) => Err(again(error)),
        }
    }
}

impl<R: AsyncRead> StreamReader<R> {
    /// A reader with the usual limit.
    pub fn new(source: R) -> Self {
        Self::with_limit(source, LIMIT)
    }

    /// A reader in which a line or record may have at most `limit` bytes, without its separator.
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    #[track_caller]
    pub fn with_limit(source: R, limit: usize) -> Self {
        assert!(limit > 0, "a reader's limit is at least one byte");
        Self { source, unread: ReadBuffer::default(), limit, end: End::Unknown, overlong: None }
    }

    /// Changes how many bytes a line or record may have.
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    #[track_caller]
    pub fn set_limit(&mut self, limit: usize) {
        assert!(limit > 0, "a reader's limit is at least one byte");
        self.limit = limit;
    }

    /// Reads what is there, at least one byte and at most `most`; no bytes at the end, or if `most` is
    /// zero.
    ///
    /// # Errors
    ///
    /// The stream's.
    #[doc(alias = "asyncio.StreamReader.read")]
    pub async fn read(&mut self, most: usize) -> io::Result<Lease> {
        self.begin().await?;
        if most > 0 && self.unread.is_empty() {
            self.receive().await?;
        }
        Ok(self.unread.take(most.min(self.unread.front().len())))
    }

    /// Reads to the end, however much that is: the limit does not bound it.
    ///
    /// # Errors
    ///
    /// The stream's. What came before stays in the reader.
    #[doc(alias = "asyncio.StreamReader.read(-1)")]
    pub async fn read_to_end(&mut self) -> io::Result<Lease> {
        self.begin().await?;
        while self.receive().await? {}
        Ok(self.unread.take(self.unread.len()))
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] with what came, if the end comes before, and the stream's.
    #[doc(alias = "asyncio.StreamReader.readexactly")]
    pub async fn read_exact(&mut self, count: usize) -> Result<Lease, ReadError> {
        self.begin().await?;
        while self.unread.len() < count {
            if !self.receive().await? {
                return Err(self.incomplete(Some(count)));
            }
        }
        Ok(self.unread.take(count))
    }

    /// What is there, without taking it; waits only if there is nothing. No bytes mean the end.
    /// [`consume`](Self::consume) takes of it.
    ///
    /// # Errors
    ///
    /// The stream's.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::StreamReader;
    ///
    /// /// Skips blanks.
    /// async fn skip(reader: &mut StreamReader) -> std::io::Result<()> {
    ///     loop {
    ///         let there = reader.fill().await?;
    ///         let blanks = there.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    ///         let is_over = blanks < there.len() || there.is_empty();
    ///         reader.consume(blanks);
    ///         if is_over {
    ///             return Ok(());
    ///         }
    ///     }
    /// }
    /// ```
    #[doc(alias = "fill_buf")]
    pub async fn fill(&mut self) -> io::Result<&[u8]> {
        self.begin().await?;
        if self.unread.is_empty() {
            self.receive().await?;
        }
        Ok(self.unread.front())
    }

    /// What is there, as [`fill`](Self::fill) gives it, without waiting: nothing if that would wait.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::{StreamReader, StreamWriter};
    ///
    /// /// Answers all requests that are there before it waits for the answers to be sent.
    /// async fn answer(reader: &mut StreamReader, writer: &mut StreamWriter) -> std::io::Result<()> {
    ///     loop {
    ///         let request = reader.read_line().await?;
    ///         writer.write_nowait(&request)?;
    ///         if !reader.buffer().contains(&b'\n') {
    ///             return writer.drain().await;
    ///         }
    ///     }
    /// }
    /// ```
    pub fn buffer(&self) -> &[u8] {
        self.unread.front()
    }

    /// Takes the first bytes of what is there.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[track_caller]
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.unread.len(), "{count} of {} bytes", self.unread.len());
        if count > 0 {
            self.take_over();
        }
        self.unread.discard(count);
    }

    /// Whether the end has come and everything before it has been read. An end that has not been met by
    /// a read is not known.
    #[doc(alias = "asyncio.StreamReader.at_eof")]
    pub fn at_eof(&self) -> bool {
        matches!(self.end, End::Met) && self.unread.is_empty()
    }

    /// What the bytes come from.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    /// Takes the reader apart, into what the bytes come from and what has been received and not read:
    /// that comes first.
    pub fn into_parts(mut self) -> (R, Lease) {
        let rest = self.unread.take(self.unread.len());
        (self.source, rest)
    }

    /// What each call begins with, as most are served from what is there: that must not go on for ever.
    pub(super) async fn spend(&self) {
        poll_fn(|context| budget::poll_spend(context)).await;
    }

    /// What each call begins with that reads bytes and no records.
    async fn begin(&mut self) -> io::Result<()> {
        self.spend().await;
        self.take_over();
        self.skip_overlong().await
    }

    /// Bytes are read that were left of a record beyond the limit: then its end is the caller's matter.
    fn take_over(&mut self) {
        if self.overlong.as_ref().is_some_and(|overlong| overlong.is_kept()) {
            self.overlong = None;
        }
    }

    /// Receives more. Whether there was any; if not, it is the end.
    pub(super) async fn receive(&mut self) -> io::Result<bool> {
        if !self.end.may_come()? {
            return Ok(false);
        }
        self.unread.gather();
        let received = self.source.recv().await.map(|lease| {
            let is_more = !lease.is_empty();
            self.unread.push(lease);
            is_more
        });
        self.end.note(received)
    }

    pub(super) fn incomplete(&mut self, expected: Option<usize>) -> ReadError {
        ReadError::Incomplete { partial: self.unread.take(self.unread.len()), expected }
    }
}

impl<R: AsyncRead> AsyncRead for StreamReader<R> {
    async fn recv(&mut self) -> io::Result<Lease> {
        self.read(usize::MAX).await
    }

    async fn read<B: IoBufMut>(&mut self, mut buffer: B) -> BufResult<usize, B> {
        if let Err(error) = self.begin().await {
            return BufResult(Err(error), buffer);
        }
        if self.unread.is_empty() && buffer.bytes_total() > 0 {
            match self.end.may_come() {
                Ok(true) => {}
                outcome => return BufResult(outcome.map(|_| 0), buffer),
            }
            let BufResult(result, buffer) = self.source.read(buffer).await;
            // The original, not the copy that is kept, is what this returns.
            drop(self.end.note(result.as_ref().map(|&count| count > 0).map_err(again)));
            return BufResult(result, buffer);
        }
        let count = buffer.fill_from(self.unread.front());
        self.unread.discard(count);
        BufResult(Ok(count), buffer)
    }
}

impl<R: fmt::Debug> fmt::Debug for StreamReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("source", &self.source)
            .field("unread", &self.unread.len())
            .field("end", &self.end)
            .finish()
    }
}
