//! Reading up to a separator, and what becomes of a record that is longer than the limit.
//!
//! The rest of such a record is never handed out as a record of its own: a peer could pass off as a
//! line what stands behind 64 KiB of padding. `read_line` discards it as it comes. `read_until`
//! leaves all of it to be read by other methods, as asyncio's does; if none takes any of it, the next
//! record is looked for behind its end.

use std::io;

use super::read_buffer::Found;
use super::{AsyncRead, ReadError, StreamReader};
use crate::buf::Lease;

/// A record that was longer than the limit, and whose end has not been read.
#[derive(Debug)]
pub(super) struct Overlong {
    /// What ends it.
    separators: Box<[Box<[u8]>]>,
    /// Whether all of it is there still, for other methods to read.
    is_kept: bool,
}

impl Overlong {
    fn new(separators: &[&[u8]], is_kept: bool) -> Self {
        Self { separators: separators.iter().map(|&separator| separator.into()).collect(), is_kept }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }
}

impl<R: AsyncRead> StreamReader<R> {
    /// Reads up to a separator, and the separator.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] with what came, if the end comes before a separator;
    /// [`ReadError::LimitOverrun`] if more than the limit comes before one; and the stream's.
    ///
    /// After a `LimitOverrun` all of the record stays in the reader, to be taken by
    /// [`read_exact`](Self::read_exact) and the like. If nothing is taken, the next call that reads up
    /// to a separator discards the record to its end, and reads what comes behind it.
    ///
    /// # Panics
    ///
    /// If the separator is empty.
    #[doc(alias = "asyncio.StreamReader.readuntil")]
    pub async fn read_until(&mut self, separator: impl AsRef<[u8]>) -> Result<Lease, ReadError> {
        self.read_until_any(&[separator.as_ref()]).await
    }

    /// Like [`read_until`](Self::read_until), for whichever of several separators ends first.
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
        self.spend().await;
        self.skip_overlong().await?;
        match self.find(separators).await {
            Ok(found) => Ok(self.unread.take(found.end)),
            Err(error) => {
                if let ReadError::LimitOverrun { .. } = error {
                    self.overlong = Some(Box::new(Overlong::new(separators, true)));
                }
                Err(error)
            }
        }
    }

    /// Reads a line, with its `\n`. At the end what is left of the last line comes without one, and then
    /// no bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError::LimitOverrun`] if the line is longer than the limit. Then all of it is discarded,
    /// also what has not arrived yet: whatever reads next reads what comes behind its `\n`. And the
    /// stream's.
    #[doc(alias = "asyncio.StreamReader.readline")]
    pub async fn read_line(&mut self) -> Result<Lease, ReadError> {
        self.spend().await;
        self.skip_overlong().await?;
        match self.find(&[b"\n"]).await {
            Ok(found) => Ok(self.unread.take(found.end)),
            Err(ReadError::Incomplete { partial, .. }) => Ok(partial),
            Err(error) => {
                if let ReadError::LimitOverrun { .. } = error {
                    let overlong = Box::new(Overlong::new(&[b"\n"], false));
                    let is_over = self.discard_part(&overlong);
                    self.overlong = Some(overlong).filter(|_| !is_over);
                }
                Err(error)
            }
        }
    }

    /// Discards the rest of a record that was longer than the limit.
    pub(super) async fn skip_overlong(&mut self) -> io::Result<()> {
        while let Some(mut overlong) = self.overlong.take() {
            overlong.is_kept = false;
            let is_over = self.discard_part(&overlong);
            if !is_over {
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

    /// Discards what is there of an overlong record. Whether that was all of it.
    fn discard_part(&mut self, overlong: &Overlong) -> bool {
        let separators = &overlong.separators;
        if let Some(found) = self.unread.find(separators, 0) {
            self.unread.discard(found.end);
            return true;
        }
        // What could be the beginning of a separator stays.
        let longest = separators.iter().map(|separator| separator.len()).max().unwrap_or(1);
        self.unread.discard((self.unread.len() + 1).saturating_sub(longest));
        false
    }

    /// Receives until one of the separators is there.
    async fn find(&mut self, separators: &[&[u8]]) -> Result<Found, ReadError> {
        let longest = separators.iter().map(|separator| separator.len()).max();
        let longest = longest.expect("there is at least one separator");
        let mut searched = 0;
        loop {
            if let Some(found) = self.unread.find(separators, searched) {
                if found.start > self.limit {
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
}
