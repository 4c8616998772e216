//! The bytes that a reader has received and that have not been read.
//!
//! They are in two parts: the bytes received last, in their lease, and before them the bytes that
//! were copied together because a read spans several leases. Only those are copied.

use std::mem;

use bytes::{Buf, BytesMut};

use crate::buf::Lease;

/// Received bytes, in order.
#[derive(Default)]
pub(super) struct ReadBuffer {
    gathered: BytesMut,
    latest: Lease,
}

/// Where a separator begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl ReadBuffer {
    pub(super) fn len(&self) -> usize {
        self.gathered.len() + self.latest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first part. It is empty only if the whole buffer is.
    pub(super) fn front(&self) -> &[u8] {
        if self.gathered.is_empty() { &self.latest } else { &self.gathered }
    }

    /// Copies the latest bytes and releases their lease: a reader that waits holds none.
    pub(super) fn release_lease(&mut self) {
        if !self.latest.is_empty() {
            self.gathered.extend_from_slice(&self.latest);
            self.latest = Lease::default();
        }
    }

    /// Appends received bytes.
    pub(super) fn push(&mut self, lease: Lease) {
        self.release_lease();
        self.latest = lease;
    }

    /// Takes the first `count` bytes, of at least as many. Copies them only if they span leases.
    pub(super) fn take(&mut self, count: usize) -> Lease {
        if count == 0 {
            // Even an empty part of a lease holds its buffer.
            return Lease::default();
        }
        if self.gathered.is_empty() {
            return if count == self.latest.len() {
                mem::take(&mut self.latest)
            } else {
                self.latest.split_to(count)
            };
        }
        self.gather(count);
        let taken = self.gathered.split_to(count).freeze();
        self.release_if_empty();
        taken.into()
    }

    /// Has the first `count` bytes, of at least as many, in the first part.
    fn gather(&mut self, count: usize) {
        if let Some(more) = count.checked_sub(self.gathered.len()) {
            self.gathered.extend_from_slice(&self.latest[..more]);
            self.discard_latest(more);
        }
    }

    /// The first `count` bytes, of at least as many, in one piece.
    #[cfg(feature = "codec")]
    pub(super) fn peek(&mut self, count: usize) -> &[u8] {
        if self.gathered.is_empty() {
            return &self.latest[..count];
        }
        self.gather(count);
        &self.gathered[..count]
    }

    /// Both parts, in order.
    #[cfg(feature = "codec")]
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [&self.gathered, &self.latest]
    }

    /// Discards the first `count` bytes, of at least as many.
    pub(super) fn discard(&mut self, count: usize) {
        let gathered = count.min(self.gathered.len());
        self.gathered.advance(gathered);
        self.release_if_empty();
        self.discard_latest(count - gathered);
    }

    /// Frees memory that holds no unread bytes.
    fn release_if_empty(&mut self) {
        if self.gathered.is_empty() {
            self.gathered = BytesMut::new();
        }
    }

    fn discard_latest(&mut self, count: usize) {
        if count == self.latest.len() {
            // An empty lease would keep its buffer.
            self.latest = Lease::default();
        } else {
            self.latest.advance(count);
        }
    }

    /// Finds the separator that ends first, of those that begin at `from` or later.
    ///
    /// Looks at no byte after that end: the cost of a record does not depend on what follows it.
    pub(super) fn find<S: AsRef<[u8]>>(&self, separators: &[S], from: usize) -> Option<Found> {
        let firsts = Firsts::of(separators);
        let (mut best, mut at) = (None::<Found>, from);
        loop {
            let end = best.map_or(self.len(), |found| found.end);
            let Some(start) = self.find_first(&firsts, at, end) else { return best };
            for separator in separators {
                let separator = separator.as_ref();
                let found = Found { start, end: start + separator.len() };
                let is_better = best.is_none_or(|best| found.end < best.end);
                if is_better && found.end <= self.len() && self.has_at(start, separator) {
                    best = Some(found);
                }
            }
            at = start + 1;
        }
    }

    /// The first position in `from..end` with the first byte of a separator.
    fn find_first(&self, firsts: &Firsts, from: usize, end: usize) -> Option<usize> {
        let (gathered, split) = (&self.gathered[..], self.gathered.len());
        if let Some(part) = gathered.get(from..end.min(split)) {
            if let Some(at) = firsts.position(part) {
                return Some(from + at);
            }
        }
        let skipped = from.saturating_sub(split);
        let part = self.latest.get(skipped..end.saturating_sub(split))?;
        Some(split + skipped + firsts.position(part)?)
    }

    /// Whether `bytes` are at position `at`, from which on there are at least as many.
    fn has_at(&self, at: usize, bytes: &[u8]) -> bool {
        let gathered = self.gathered.get(at..).unwrap_or_default();
        let (head, tail) = bytes.split_at(bytes.len().min(gathered.len()));
        let skipped = at.saturating_sub(self.gathered.len());
        gathered.starts_with(head) && self.latest[skipped..].starts_with(tail)
    }
}

/// The bytes that separators begin with.
enum Firsts {
    One(u8),
    /// One bit for each byte value.
    Several([u64; 4]),
}

impl Firsts {
    fn of<S: AsRef<[u8]>>(separators: &[S]) -> Self {
        let first = |separator: &S| {
            *separator.as_ref().first().expect("a separator needs at least one byte")
        };
        if let [only] = separators {
            return Self::One(first(only));
        }
        let mut bits = [0; 4];
        for byte in separators.iter().map(first) {
            bits[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
        Self::Several(bits)
    }

    /// The position of the first of them.
    fn position(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::One(first) => bytes.iter().position(|byte| byte == first),
            Self::Several(bits) => {
                bytes.iter().position(|byte| bits[usize::from(byte / 64)] >> (byte % 64) & 1 == 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(parts: &[&[u8]]) -> ReadBuffer {
        let mut unread = ReadBuffer::default();
        parts.iter().for_each(|part| unread.push(Lease::from(part.to_vec())));
        unread
    }

    /// The result is the same for each way to cut a text in three.
    #[test]
    fn separators_are_found_wherever_the_parts_meet() {
        let text = b"aXYbXYZc\r\nd";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let unread = unread(&[&text[..first], &text[first..second], &text[second..]]);
                let find = |separators: &[&[u8]], from| {
                    unread.find(separators, from).map(|found| (found.start, found.end))
                };
                assert_eq!(find(&[b"XYZ"], 0), Some((4, 7)));
                assert_eq!(find(&[b"XYZ", b"XY"], 0), Some((1, 3)));
                assert_eq!(find(&[b"XYZ", b"XY"], 2), Some((4, 6)));
                assert_eq!(find(&[b"\r\n"], 0), Some((8, 10)));
                assert_eq!(find(&[b"dd"], 0), None);
                assert_eq!(find(&[b"a"], 1), None);
                assert_eq!(find(&[b"d"], 11), None);
            }
        }
    }

    #[test]
    fn taken_and_discarded_bytes_are_the_first_ones() {
        let text: Vec<u8> = (0..30).collect();
        for cut in 0..=30 {
            for count in 0..=30 {
                let mut taking = unread(&[&text[..cut], &text[cut..]]);
                assert_eq!(*taking.take(count), text[..count]);
                assert_eq!(*taking.take(30 - count), text[count..]);
                assert!(taking.is_empty());
                let mut discarding = unread(&[&text[..cut], &text[cut..]]);
                discarding.discard(count);
                assert_eq!(*discarding.take(30 - count), text[count..]);
            }
        }
    }

    #[test]
    fn taken_and_discarded_bytes_keep_no_memory() {
        for discards in [false, true] {
            let mut unread = unread(&[&[1; 5000], &[2; 5000]]);
            if discards {
                unread.discard(8000);
            } else {
                assert_eq!(unread.take(8000).len(), 8000);
            }
            assert_eq!((unread.gathered.capacity(), unread.len()), (0, 2000));
        }
    }

    #[test]
    fn an_empty_take_holds_no_buffer() {
        let mut unread = unread(&[b"text"]);
        let nothing = unread.take(0);
        assert!(nothing.is_empty() && !std::ptr::eq(nothing.as_ptr(), unread.front().as_ptr()));
        assert_eq!(*unread.take(4), *b"text");
    }

    #[test]
    fn bytes_within_one_lease_are_not_copied() {
        let lease = Lease::from(b"one\ntwo\n".to_vec());
        let start = lease.as_ptr();
        let mut unread = ReadBuffer::default();
        unread.push(lease);
        let one = unread.take(4);
        assert_eq!((&*one, one.as_ptr()), (&b"one\n"[..], start));
        assert_eq!(unread.front(), b"two\n");
    }
}
