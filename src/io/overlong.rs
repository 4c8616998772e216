//! A record that is longer than the reader's limit.

use super::read_buffer::ReadBuffer;

/// A record that was longer than the limit, and whose end has not been read.
#[derive(Debug)]
pub(super) struct Overlong {
    /// The separators that may end it.
    separators: Box<[Box<[u8]>]>,
    /// Whether all of it is still in the reader, for other methods to read.
    is_kept: bool,
}

impl Overlong {
    /// A record of which every byte stays in the reader, until it is skipped.
    pub(super) fn kept(separators: &[&[u8]]) -> Box<Self> {
        Self::new(separators, true)
    }

    /// A record that is discarded as it arrives.
    pub(super) fn discarded(separators: &[&[u8]]) -> Box<Self> {
        Self::new(separators, false)
    }

    fn new(separators: &[&[u8]], is_kept: bool) -> Box<Self> {
        let separators = separators.iter().map(|&separator| separator.into()).collect();
        Box::new(Self { separators, is_kept })
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Discards the available part of the record. Returns whether that was its end.
    pub(super) fn discard_part(&mut self, unread: &mut ReadBuffer) -> bool {
        self.is_kept = false;
        if let Some(found) = unread.find(&self.separators, 0) {
            unread.discard(found.end);
            return true;
        }
        // The last bytes may be the beginning of a separator, so they stay.
        let longest = self.separators.iter().map(|separator| separator.len()).max().unwrap_or(1);
        unread.discard((unread.len() + 1).saturating_sub(longest));
        false
    }
}
