//! The lines of a reader, or of the standard input, as a stream of `String`s.

use std::fmt;
use std::io;
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FusedStream, LocalBoxStream, Stream, StreamExt, unfold};

use super::{AsyncRead, ReadError, StreamReader};
use crate::task::coop;

impl<R: AsyncRead> StreamReader<R> {
    /// Streams the lines as `String`s until EOF, without their `\n` or `\r\n`.
    ///
    /// A line that is not UTF-8, or is longer than the limit, yields an `InvalidData` error, and
    /// the following lines are yielded after it. An error of the source ends the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the lines that it has not yielded in the reader.
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
        Lines::of(self)
    }
}

/// A line as text, without its line ending.
fn text(line: &[u8]) -> io::Result<String> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let text = String::from_utf8(text.to_vec());
    text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The stream of [`StreamReader::lines`] and [`Stdin::lines`](super::Stdin::lines).
#[must_use = "streams do nothing unless polled"]
pub struct Lines<'a> {
    /// `None` once it has ended.
    lines: Option<LocalBoxStream<'a, io::Result<String>>>,
}

impl<'a> Lines<'a> {
    /// The lines of a reader, which is dropped after the last one.
    pub(super) fn of<R: AsyncRead + 'a>(
        reader: impl DerefMut<Target = StreamReader<R>> + 'a,
    ) -> Self {
        let lines = unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.read_line().await {
                Ok(end) if end.is_empty() => None,
                Ok(line) => Some((text(&line), Some(reader))),
                Err(ReadError::Io(error)) => Some((Err(error), None)),
                Err(error) => Some((Err(error.into()), Some(reader))),
            }
        });
        Self { lines: Some(lines.boxed_local()) }
    }

    /// Returns the next line, without its `\n` or `\r\n`; `None` at EOF.
    ///
    /// # Errors
    ///
    /// Those of the method that has returned the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing.
    pub async fn next_line(&mut self) -> io::Result<Option<String>> {
        self.next().await.transpose()
    }
}

impl Stream for Lines<'_> {
    type Item = io::Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(lines) = &mut self.lines else {
            ready!(coop::poll_spend(context));
            return Poll::Ready(None);
        };
        let next = ready!(lines.poll_next_unpin(context));
        if next.is_none() {
            self.lines = None;
        }
        Poll::Ready(next)
    }
}

impl FusedStream for Lines<'_> {
    fn is_terminated(&self) -> bool {
        self.lines.is_none()
    }
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("ended", &self.is_terminated()).finish_non_exhaustive()
    }
}
