//! A reader that keeps the bytes that were received and have not been read. Records and lines are
//! in `records` and `lines`.

use std::fmt;
use std::future::poll_fn;
use std::io;

use super::overlong::Overlong;
use super::read_buffer::ReadBuffer;
use super::{AsyncRead, ReadError};
use crate::buf::{BufResult, IoBufMut, Lease};
use crate::error::again;
use crate::task::coop;

/// The default for how many bytes a line or record may have.
const DEFAULT_LIMIT: usize = 64 * 1024;

/// Returns the limit of a reader, which must be at least one byte. Options check it, too: otherwise
/// the task of each connection would panic.
#[track_caller]
pub(crate) const fn checked_limit(bytes: usize) -> usize {
    assert!(bytes > 0, "the limit of a reader must be at least one byte");
    bytes
}

/// Reads lines, records and exact numbers of bytes from a source of bytes.
///
/// Reads return a [`Lease`], which derefs to `[u8]`: a line that was received as a whole is not
/// copied. A line that is kept therefore keeps the whole buffer that it was received into, of 4 KiB
/// or more: to keep lines for long, copy them (`line.to_vec()`).
///
/// A reader holds at most its limit, by default 64 KiB, and the bytes received last; a read of an
/// exact number of bytes, or to EOF, may need more. The limit does not include the separator, and
/// can be [changed](Self::set_limit) at any time.
///
/// # Errors
///
/// An error of the source is returned after the bytes that were received before it, and is final:
/// every method returns it again, with its kind, [number](crate::raw_os_error) and text, so that
/// truncated data is never taken for complete. `Interrupted`, `WouldBlock` and `OutOfMemory` are
/// not final. EOF is final, too: after it, the source is not read again.
///
/// # Cancel safety
///
/// Every method can be dropped at any moment and called again: received bytes stay in the reader.
///
/// # Example
///
/// ```
/// use annulus::net::{TcpListener, open_connection};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
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
#[doc(alias = "BufReader")]
#[doc(alias = "AsyncBufRead")]
pub struct StreamReader<R> {
    source: R,
    pub(super) unread: ReadBuffer,
    pub(super) limit: usize,
    state: SourceState,
    /// Boxed, since it is rare.
    pub(super) overlong: Option<Box<Overlong>>,
}

/// What is known of the source, after the bytes that were received.
#[derive(Debug)]
enum SourceState {
    /// More bytes may come.
    Open,
    Eof,
    Failed(io::Error),
}

impl SourceState {
    /// Learns from a receive, which returned whether there were bytes.
    fn note(&mut self, received: io::Result<bool>) -> io::Result<bool> {
        use io::ErrorKind::{Interrupted, OutOfMemory, WouldBlock};
        match &received {
            Ok(true) => {}
            Ok(false) => *self = Self::Eof,
            Err(error) if matches!(error.kind(), Interrupted | OutOfMemory | WouldBlock) => {}
            Err(error) => *self = Self::Failed(again(error)),
        }
        received
    }

    /// Whether more bytes may come.
    fn is_open(&self) -> io::Result<bool> {
        match self {
            Self::Open => Ok(true),
            Self::Eof => Ok(false),
            Self::Failed(error) => Err(again(error)),
        }
    }
}

impl<R: AsyncRead> StreamReader<R> {
    /// Creates a reader with the default limit of 64 KiB.
    pub fn new(source: R) -> Self {
        Self::with_limit(source, DEFAULT_LIMIT)
    }

    /// Creates a reader whose lines and records have at most `limit` bytes.
    ///
    /// The separator does not count.
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    #[track_caller]
    pub fn with_limit(source: R, limit: usize) -> Self {
        Self {
            source,
            unread: ReadBuffer::default(),
            limit: checked_limit(limit),
            state: SourceState::Open,
            overlong: None,
        }
    }

    /// Changes how many bytes a line or record may have, without its separator.
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    #[track_caller]
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = checked_limit(limit);
    }

    /// Reads the available bytes, at least one and at most `max`.
    ///
    /// No bytes mean EOF, or a `max` of zero.
    ///
    /// # Errors
    ///
    /// Those of the source.
    #[doc(alias = "asyncio.StreamReader.read")]
    pub async fn read(&mut self, max: usize) -> io::Result<Lease> {
        self.begin().await?;
        if max > 0 && self.unread.is_empty() {
            self.receive().await?;
        }
        Ok(self.unread.take(max.min(self.unread.front().len())))
    }

    /// Reads all bytes until EOF. The limit does not bound them.
    ///
    /// # Errors
    ///
    /// Those of the source. The bytes before the error stay in the reader.
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
    /// [`ReadError::Incomplete`] with the bytes read, if EOF comes first. And the errors of the
    /// source.
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

    /// Returns the available bytes without taking them, and waits if there are none.
    ///
    /// No bytes mean EOF. [`consume`](Self::consume) takes them.
    ///
    /// # Errors
    ///
    /// Those of the source.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::StreamReader;
    ///
    /// /// Skips blanks.
    /// async fn skip(reader: &mut StreamReader) -> std::io::Result<()> {
    ///     loop {
    ///         let bytes = reader.fill().await?;
    ///         let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    ///         let is_over = blanks < bytes.len() || bytes.is_empty();
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

    /// Returns the available bytes without waiting: maybe none.
    ///
    /// Otherwise like [`fill`](Self::fill).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::{StreamReader, StreamWriter};
    ///
    /// /// Answers all available requests before it waits for the answers to be sent.
    /// async fn answer(
    ///     reader: &mut StreamReader,
    ///     writer: &mut StreamWriter,
    /// ) -> std::io::Result<()> {
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

    /// Takes the first `count` available bytes.
    ///
    /// # Panics
    ///
    /// If fewer are available.
    #[track_caller]
    pub fn consume(&mut self, count: usize) {
        assert!(
            count <= self.unread.len(),
            "cannot consume {count} of {} bytes",
            self.unread.len()
        );
        if count > 0 {
            self.take_over();
        }
        self.unread.discard(count);
    }

    /// Whether a read has met EOF, and all bytes before it have been read.
    #[doc(alias = "asyncio.StreamReader.at_eof")]
    pub fn at_eof(&self) -> bool {
        matches!(self.state, SourceState::Eof) && self.unread.is_empty()
    }

    /// Returns the source.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    /// Returns the source, and the received bytes that have not been read.
    pub fn into_parts(mut self) -> (R, Lease) {
        let rest = self.unread.take(self.unread.len());
        (self.source, rest)
    }

    /// Returns the source, the received bytes that have not been read, and whether more may come
    /// behind them. The rest of a record that is being discarded is discarded before.
    pub(crate) async fn into_rest(mut self) -> io::Result<(R, Lease, io::Result<bool>)> {
        if self.overlong.as_ref().is_some_and(|overlong| !overlong.is_kept()) {
            self.skip_overlong().await?;
        }
        let (rest, is_open) = (self.unread.take(self.unread.len()), self.state.is_open());
        Ok((self.source, rest, is_open))
    }

    /// Spends budget at the start of each call: most are served from the buffer, without waiting.
    pub(super) async fn spend(&self) {
        poll_fn(|context| coop::poll_spend(context)).await;
    }

    /// The start of each call that reads bytes, not records.
    pub(super) async fn begin(&mut self) -> io::Result<()> {
        self.spend().await;
        self.take_over();
        self.skip_overlong().await
    }

    /// Forgets an overlong record of which the caller now reads bytes, and so looks for the end
    /// itself.
    fn take_over(&mut self) {
        if self.overlong.as_ref().is_some_and(|overlong| overlong.is_kept()) {
            self.overlong = None;
        }
    }

    /// Receives more bytes. Returns whether there were any; none mean EOF.
    pub(super) async fn receive(&mut self) -> io::Result<bool> {
        if !self.state.is_open()? {
            return Ok(false);
        }
        self.unread.release_lease();
        let received = self.source.recv().await.map(|lease| {
            let is_more = !lease.is_empty();
            self.unread.push(lease);
            is_more
        });
        self.state.note(received)
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
            match self.state.is_open() {
                Ok(true) => {}
                outcome => return BufResult(outcome.map(|_| 0), buffer),
            }
            let BufResult(result, buffer) = self.source.read(buffer).await;
            // Keeps a copy of an error, and returns the original.
            drop(self.state.note(result.as_ref().map(|&count| count > 0).map_err(again)));
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
            .field("state", &self.state)
            .finish()
    }
}
