//! Requests for another shard, and their replies.
//!
//! All requests of a pipeline that another shard has to execute go there in one batch, which comes
//! back with the replies: one call to a shard, however many requests. The memory of a batch is used
//! again for the next.

use std::mem;
use std::ops::Range;

use super::commands::{Command, Run};
use super::node::MAX_REPLIES;
use super::protocol::{Reply, Request, Resp};
use super::store::Store;

/// Requests on keys of one shard.
#[derive(Default)]
pub(crate) struct Batch {
    /// The arguments of all requests, one behind the other.
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
    requests: Vec<Entry>,
    /// How many requests have been executed.
    executed: usize,
    replies: Vec<u8>,
    /// Where each reply ends.
    ends: Vec<usize>,
    /// How many replies have been taken, and where the next one begins.
    taken: usize,
    start: usize,
}

struct Entry {
    command: &'static Command,
    places: Range<usize>,
    resp: Resp,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// How many bytes of requests it has.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push<'a>(
        &mut self,
        command: &'static Command,
        arguments: impl Iterator<Item = &'a [u8]>,
        resp: Resp,
    ) {
        let first = self.places.len();
        for argument in arguments {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(argument);
            self.places.push(start..self.bytes.len());
        }
        self.requests.push(Entry { command, places: first..self.places.len(), resp });
    }

    /// Executes requests until the replies are many; the rest is executed when these have been
    /// sent.
    pub(crate) fn execute(&mut self, store: &mut Store) {
        self.replies.clear();
        self.ends.clear();
        (self.taken, self.start) = (0, 0);
        while let Some(entry) = self.requests.get(self.executed) {
            if self.replies.len() >= MAX_REPLIES {
                break;
            }
            let request = Request::new(&self.bytes, &self.places[entry.places.clone()]);
            let mut reply = Reply::new(&mut self.replies, entry.resp);
            match entry.command.run {
                Run::Keyed(run) => run(store, request, &mut reply),
                Run::Connection(_) => unreachable!("such a command has no keys of another shard"),
            }
            self.ends.push(self.replies.len());
            self.executed += 1;
        }
    }

    /// Whether the next request has been executed.
    pub(crate) fn has_reply(&self) -> bool {
        self.taken < self.ends.len()
    }

    /// The next reply; `None` if the request has yet to be executed.
    pub(crate) fn next_reply(&mut self) -> Option<&[u8]> {
        let end = *self.ends.get(self.taken)?;
        self.taken += 1;
        Some(&self.replies[mem::replace(&mut self.start, end)..end])
    }

    /// Empties it, and gives back what an unusual batch has needed.
    pub(crate) fn clear(&mut self) {
        const USUAL: usize = 64 * 1024;
        self.bytes.clear();
        self.bytes.shrink_to(USUAL);
        self.places.clear();
        self.places.shrink_to(USUAL);
        self.requests.clear();
        self.requests.shrink_to(USUAL);
        self.replies.clear();
        self.replies.shrink_to(USUAL);
        self.ends.clear();
        (self.executed, self.taken, self.start) = (0, 0, 0);
    }
}
