//! Reading lines, records and exact numbers of bytes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{LocalBoxStream, Stream, StreamExt, unfold};

use super::unread::{Found, Unread};
use super::{Read, ReadError};
use crate::buf::{BufResult, IoBufMut, Lease};

/// How many bytes a line or record may have, if nobody says otherwise.
const LIMIT: usize = 64 * 1024;

/// Reads lines, records and exact numbers of bytes from something that bytes come from.
///
/// What is read is a [`Lease`], which derefs to `[u8]`: a line that was received as a whole is not
/// copied. Whoever keeps lines for long copies them (`line.to_vec()`).
///
/// A reader holds no more than its limit, 64 KiB if nobody says otherwise, and what was received last;
/// what is read by an exact number may be more. One that nobody reads holds nothing but what is left.
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
    unread: Unread,
    limit: usize,
    ended: bool,
}

impl<R: Read> StreamReader<R> {
    /// A reader with the usual limit.
    pub fn new(source: R) -> Self {
        Self::with_limit(source, LIMIT)
    }

    /// A reader in which a line or record may have at most `limit` bytes.
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    pub fn with_limit(source: R, limit: usize) -> Self {
        assert!(limit > 0, "a reader's limit is at least one byte");
        Self { source, unread: Unread::default(), limit, ended: false }
    }

    /// Reads what is there, at least one byte and at most `most`; no bytes at the end, or if `most` is
    /// zero.
    ///
    /// # Errors
    ///
    /// The stream's.
    #[doc(alias = "asyncio.StreamReader.read")]
    pub async fn read(&mut self, most: usize) -> io::Result<Lease> {
        if most > 0 && self.unread.is_empty() {
            self.receive().await?;
        }
        Ok(self.unread.take(most.min(self.unread.front().len())))
    }

    /// Reads to the end, however much that is.
    ///
    /// # Errors
    ///
    /// The stream's. What came before stays in the reader.
    #[doc(alias = "asyncio.StreamReader.read(-1)")]
    pub async fn read_to_end(&mut self) -> io::Result<Lease> {
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
        while self.unread.len() < count {
            if !self.receive().await? {
                return Err(self.incomplete(Some(count)));
            }
        }
        Ok(self.unread.take(count))
    }

    /// Reads up to a separator, and the separator.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] with what came, if the end comes before a separator;
    /// [`ReadError::LimitOverrun`] if there is none within the limit: all stays in the reader then;
    /// and the stream's.
    ///
    /// # Panics
    ///
    /// If the separator is empty.
    #[doc(alias = "asyncio.StreamReader.readuntil")]
    pub async fn read_until(&mut self, separator: impl AsRef<[u8]>) -> Result<Lease, ReadError> {
        self.read_until_any(&[separator.as_ref()]).await
    }

    /// [`read_until`](Self::read_until) that one of several separators which ends first.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// If there is no separator, or one is empty.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::StreamReader;
    ///
    /// async fn sentence(reader: &mut StreamReader) -> std::io::Result<Vec<u8>> {
    ///     Ok(reader.read_until_any(&[b".", b"!", b"?"]).await?.to_vec())
    /// }
    /// ```
    pub async fn read_until_any(&mut self, separators: &[&[u8]]) -> Result<Lease, ReadError> {
        let found = self.find(separators).await?;
        Ok(self.unread.take(found.end))
    }

    /// Reads a line, with its `\n`. At the end what is left of the last line comes without one, and then
    /// no bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError::LimitOverrun`] if the line is longer than the limit. Then what is there of it is
    /// discarded, so that the next call goes on behind it. And the stream's.
    #[doc(alias = "asyncio.StreamReader.readline")]
    pub async fn read_line(&mut self) -> Result<Lease, ReadError> {
        match self.read_until(b"\n").await {
            Err(ReadError::Incomplete { partial, .. }) => Ok(partial),
            Err(ReadError::LimitOverrun { consumed }) => {
                let end = self.unread.find(&[b"\n"], consumed).map(|found| found.end);
                self.unread.discard(end.unwrap_or(self.unread.len()));
                Err(ReadError::LimitOverrun { consumed })
            }
            outcome => outcome,
        }
    }

    /// The lines to the end as a stream of text, without their `\n` or `\r\n`.
    ///
    /// A line that is not UTF-8 gives an `InvalidData` error, and one that is longer than the limit, too;
    /// the lines behind it follow.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves to the reader what it has not given.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::StreamReader;
    /// use futures_util::StreamExt;
    ///
    /// async fn longest(reader: &mut StreamReader) -> std::io::Result<usize> {
    ///     let mut longest = 0;
    ///     let mut lines = reader.lines();
    ///     while let Some(line) = lines.next().await {
    ///         longest = longest.max(line?.len());
    ///     }
    ///     Ok(longest)
    /// }
    /// ```
    #[doc(alias = "async for line in reader")]
    pub fn lines(&mut self) -> Lines<'_> {
        let lines = unfold(self, |reader| async { Some((reader.text_line().await?, reader)) });
        Lines { lines: lines.fuse().boxed_local() }
    }

    async fn text_line(&mut self) -> Option<io::Result<String>> {
        let line = match self.read_line().await {
            Ok(end) if end.is_empty() => return None,
            Ok(line) => line,
            Err(error) => return Some(Err(error.into())),
        };
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let text = String::from_utf8(text.to_vec());
        Some(text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)))
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
        if self.unread.is_empty() {
            self.receive().await?;
        }
        Ok(self.unread.front())
    }

    /// Takes the first bytes of what is there.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.unread.len(), "{count} of {} bytes", self.unread.len());
        self.unread.discard(count);
    }

    /// Whether the end has come and everything before it has been read. An end that has not been met by
    /// a read is not known.
    #[doc(alias = "asyncio.StreamReader.at_eof")]
    pub fn at_eof(&self) -> bool {
        self.ended && self.unread.is_empty()
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

    /// Receives more. Whether there was any; if not, it is the end.
    async fn receive(&mut self) -> io::Result<bool> {
        self.unread.gather();
        let lease = self.source.recv().await?;
        self.ended = lease.is_empty();
        self.unread.push(lease);
        Ok(!self.ended)
    }

    /// Receives until one of the separators is there.
    async fn find(&mut self, separators: &[&[u8]]) -> Result<Found, ReadError> {
        let longest = separators.iter().map(|separator| separator.len()).max();
        let longest = longest.expect("there is at least one separator");
        let mut searched = 0;
        loop {
            if let Some(found) = self.unread.find(separators, searched) {
                if found.end > self.limit {
                    return Err(ReadError::LimitOverrun { consumed: found.start });
                }
                return Ok(found);
            }
            // Behind this, what is there could be the beginning of a separator.
            searched = (self.unread.len() + 1).saturating_sub(longest);
            if searched > self.limit {
                return Err(ReadError::LimitOverrun { consumed: searched });
            }
            if !self.receive().await? {
                return Err(self.incomplete(None));
            }
        }
    }

    fn incomplete(&mut self, expected: Option<usize>) -> ReadError {
        ReadError::Incomplete { partial: self.unread.take(self.unread.len()), expected }
    }
}

impl<R: Read> Read for StreamReader<R> {
    async fn recv(&mut self) -> io::Result<Lease> {
        self.read(usize::MAX).await
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        if self.unread.is_empty() {
            return self.source.read(buffer).await;
        }
        let mut buffer = buffer;
        let count = buffer.fill_from(self.unread.front());
        self.unread.discard(count);
        (Ok(count), buffer)
    }
}

impl<R: fmt::Debug> fmt::Debug for StreamReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("source", &self.source)
            .field("unread", &self.unread.len())
            .field("ended", &self.ended)
            .finish()
    }
}

/// The lines of a reader; made by [`StreamReader::lines`].
#[must_use = "streams do nothing unless polled"]
pub struct Lines<'a> {
    lines: LocalBoxStream<'a, io::Result<String>>,
}

impl Stream for Lines<'_> {
    type Item = io::Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}
