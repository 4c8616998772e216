//! Reading up to a separator, within the reader's limit.
//!
//! The rest of a record that is longer than the limit is never returned as a record: otherwise a
//! peer could smuggle in a line after 64 KiB of padding. `read_line` discards it as it arrives.
//! `read_until` leaves all of it in the reader for other methods, as asyncio's does; if none takes
//! any of it, the next record is the one after its end.

use std::io;

use super::overlong::Overlong;
use super::read_buffer::Found;
use super::{AsyncRead, ReadError, StreamReader};
use crate::buf::Lease;

impl<R: AsyncRead> StreamReader<R> {
    /// Reads up to and including a separator.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] with the bytes read, if EOF comes before a separator.
    /// [`ReadError::LimitOverrun`] if more bytes than the limit come before one. And the errors of
    /// the source.
    ///
    /// After a `LimitOverrun` all of the record stays in the reader, where
    /// [`read_exact`](Self::read_exact) and other methods can take it. If none does, the next call
    /// that reads up to a separator discards the record to its end, and reads the next one.
    ///
    /// # Panics
    ///
    /// If the separator is empty.
    #[doc(alias = "asyncio.StreamReader.readuntil")]
    pub async fn read_until(&mut self, separator: impl AsRef<[u8]>) -> Result<Lease, ReadError> {
        self.read_until_any(&[separator.as_ref()]).await
    }

    /// Reads up to and including the first of several separators.
    ///
    /// The first is the one that ends first. Otherwise like [`read_until`](Self::read_until).
    ///
    /// # Errors
    ///
    /// Those of [`read_until`](Self::read_until).
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
        self.spend().await;
        self.skip_overlong().await?;
        match self.find(separators).await {
            Ok(found) => Ok(self.unread.take(found.end)),
            Err(error) => {
                if let ReadError::LimitOverrun { .. } = error {
                    self.overlong = Some(Overlong::kept(separators));
                }
                Err(error)
            }
        }
    }

    /// Reads a line, with its `\n`.
    ///
    /// At EOF the last line may come without `\n`; after it, no bytes are returned.
    ///
    /// # Errors
    ///
    /// [`ReadError::LimitOverrun`] if the line is longer than the limit. Then all of it is
    /// discarded, including what has not arrived yet: the next read starts after its `\n`. And the
    /// errors of the source.
    #[doc(alias = "asyncio.StreamReader.readline")]
    pub async fn read_line(&mut self) -> Result<Lease, ReadError> {
        self.spend().await;
        self.skip_overlong().await?;
        match self.find(&[b"\n"]).await {
            Ok(found) => Ok(self.unread.take(found.end)),
            Err(ReadError::Incomplete { partial, .. }) => Ok(partial),
            Err(error) => {
                if let ReadError::LimitOverrun { .. } = error {
                    let mut overlong = Overlong::discarded(&[b"\n"]);
                    let is_over = overlong.discard_part(&mut self.unread);
                    self.overlong = Some(overlong).filter(|_| !is_over);
                }
                Err(error)
            }
        }
    }

    /// Discards the rest of a record that was longer than the limit.
    pub(super) async fn skip_overlong(&mut self) -> io::Result<()> {
        while let Some(mut overlong) = self.overlong.take() {
            if !overlong.discard_part(&mut self.unread) {
                // Put back before the wait, which may be dropped.
                self.overlong = Some(overlong);
                if !self.receive().await? {
                    self.unread.discard(self.unread.len());
                    self.overlong = None;
                }
            }
        }
        Ok(())
    }

    /// Receives until one of the separators is in the buffer.
    async fn find(&mut self, separators: &[&[u8]]) -> Result<Found, ReadError> {
        let longest = separators.iter().map(|separator| separator.len()).max();
        let longest = longest.expect("`read_until_any` needs at least one separator");
        let mut searched = 0;
        loop {
            if let Some(found) = self.unread.find(separators, searched) {
                if found.start > self.limit {
                    return Err(ReadError::LimitOverrun { consumed: found.start });
                }
                return Ok(found);
            }
            // The bytes from here on may be the beginning of a separator.
            searched = (self.unread.len() + 1).saturating_sub(longest);
            if searched > self.limit {
                return Err(ReadError::LimitOverrun { consumed: searched });
            }
            if !self.receive().await? {
                return Err(self.incomplete(None));
            }
        }
    }
}
