//! What a reader must do, told by the whole content: no call depends on how it was cut.

use std::io;

use super::End;

/// What a call has returned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Bytes(Vec<u8>),
    Incomplete(Vec<u8>),
    /// With the number of bytes that may be read without tearing a separator.
    Overrun(usize),
    Failed,
}

/// A record beyond the limit, whose rest is not returned as a record.
#[derive(Debug)]
enum Overlong {
    /// Other calls may still read it.
    Kept(Vec<Vec<u8>>),
    Discarded(Vec<Vec<u8>>),
}

pub(super) struct Model {
    content: Vec<u8>,
    position: usize,
    end: End,
    limit: usize,
    overlong: Option<Overlong>,
}

impl Model {
    pub(super) fn new(content: Vec<u8>, end: End, limit: usize) -> Self {
        Self { content, position: 0, end, limit, overlong: None }
    }

    fn rest(&self) -> &[u8] {
        &self.content[self.position..]
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.rest()[..count].to_vec();
        self.position += count;
        taken
    }

    /// Where the separator is that ends first: its start and its end.
    fn find(&self, separators: &[Vec<u8>]) -> Option<(usize, usize)> {
        let ends = (1..=self.rest().len()).flat_map(|end| {
            // Of those that end at the same place, the one that begins first.
            let ending = separators.iter().filter(move |it| self.rest()[..end].ends_with(it));
            let start = ending.map(|separator| end - separator.len()).min();
            start.map(|start| (start, end))
        });
        ends.min_by_key(|&(_, end)| end)
    }

    /// Discards the rest of a record. Whether that was possible: not if the source fails before.
    fn skip(&mut self) -> bool {
        let Some(Overlong::Kept(separators) | Overlong::Discarded(separators)) =
            self.overlong.take()
        else {
            return true;
        };
        match self.find(&separators) {
            Some((_, end)) => self.position += end,
            None if self.end == End::Eof => self.position = self.content.len(),
            None => {
                self.overlong = Some(Overlong::Discarded(separators));
                return false;
            }
        }
        true
    }

    /// The start of a call that reads bytes.
    fn begin(&mut self) -> bool {
        if let Some(Overlong::Kept(_)) = self.overlong {
            self.overlong = None;
        }
        self.skip()
    }

    /// A call that was dropped has begun all the same.
    fn dropped(&mut self, what: &str) {
        match (self.overlong.take(), what) {
            (Some(Overlong::Kept(of)), "read_line" | "read_until" | "read_until_any") => {
                self.overlong = Some(Overlong::Discarded(of));
            }
            (Some(Overlong::Kept(_)), _) => {}
            (overlong, _) => self.overlong = overlong,
        }
    }

    pub(super) fn exact(&mut self, count: usize) -> Outcome {
        if !self.begin() {
            return Outcome::Failed;
        }
        match (self.rest().len() >= count, self.end) {
            (true, _) => Outcome::Bytes(self.take(count)),
            (false, End::Eof) => Outcome::Incomplete(self.take(self.rest().len())),
            (false, End::Error) => Outcome::Failed,
        }
    }

    pub(super) fn read_to_end(&mut self) -> Outcome {
        if !self.begin() || self.end == End::Error {
            return Outcome::Failed;
        }
        Outcome::Bytes(self.take(self.rest().len()))
    }

    pub(super) fn line(&mut self) -> Outcome {
        let separators = [b"\n".to_vec()];
        match self.record(&separators) {
            Outcome::Incomplete(partial) => Outcome::Bytes(partial),
            Outcome::Overrun(consumed) => {
                self.overlong = Some(Overlong::Discarded(separators.to_vec()));
                Outcome::Overrun(consumed)
            }
            outcome => outcome,
        }
    }

    pub(super) fn until(&mut self, separators: &[Vec<u8>]) -> Outcome {
        let outcome = self.record(separators);
        if let Outcome::Overrun(_) = outcome {
            self.overlong = Some(Overlong::Kept(separators.to_vec()));
        }
        outcome
    }

    fn record(&mut self, separators: &[Vec<u8>]) -> Outcome {
        if !self.skip() {
            return Outcome::Failed;
        }
        let longest = separators.iter().map(Vec::len).max().expect("there is one");
        let left = self.rest().len();
        match self.find(separators) {
            Some((start, _)) if start > self.limit => Outcome::Overrun(start),
            Some((_, end)) => Outcome::Bytes(self.take(end)),
            None if left + 1 > self.limit + longest => Outcome::Overrun(left),
            None if self.end == End::Error => Outcome::Failed,
            None => Outcome::Incomplete(self.take(left)),
        }
    }

    /// Compares the outcome of a call, which is `None` if it was dropped.
    pub(super) fn check(
        &mut self,
        what: &str,
        found: Option<Outcome>,
        expected: impl FnOnce(&mut Self) -> Outcome,
    ) {
        let Some(found) = found else { return self.dropped(what) };
        let before = self.position;
        match (found, expected(self)) {
            // How much is found out of a long record depends on how it arrives.
            (Outcome::Overrun(found), Outcome::Overrun(most)) => {
                assert!((self.limit + 1..=most).contains(&found), "{what}: overrun after {found}");
            }
            (found, expected) => assert_eq!(found, expected, "{what} at {before}"),
        }
    }

    /// Compares what a call has returned that returns some bytes, which depends on how they arrive.
    pub(super) fn check_some(
        &mut self,
        what: &str,
        found: Option<io::Result<Vec<u8>>>,
        most: usize,
        takes: bool,
    ) {
        let Some(found) = found else { return self.dropped(what) };
        let is_possible = self.begin();
        let Ok(found) = found else {
            let is_at_end = self.rest().is_empty() && most > 0;
            assert!(self.end == End::Error && (is_at_end || !is_possible), "{what} has failed");
            return;
        };
        assert!(is_possible, "{what} has returned the rest of a record");
        assert!(found.len() <= most, "{what} has returned {} of {most} bytes", found.len());
        assert!(self.rest().starts_with(&found), "{what} has returned other bytes");
        if found.is_empty() {
            let is_eof = self.rest().is_empty() && self.end == End::Eof;
            assert!(most == 0 || is_eof, "{what} has returned nothing before EOF");
        }
        if takes {
            self.position += found.len();
        }
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.position += count;
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) fn check_eof(&self) {
        if self.overlong.is_none() {
            assert!(self.end == End::Eof && self.rest().is_empty(), "EOF before the end");
        }
    }

    /// What was received and not read is what comes next.
    pub(super) fn check_rest(&self, rest: &[u8]) {
        if !matches!(self.overlong, Some(Overlong::Discarded(_))) {
            assert!(self.rest().starts_with(rest), "other bytes are left");
        }
    }
}
