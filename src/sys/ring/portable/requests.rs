//! What has not completed: one request for each SQE.
//!
//! Requests are found by their user data, for cancels. The table for that needs no hashing: the
//! driver's user data begins with the number of a slot, and those are dense, so its low bits spread
//! requests over the buckets as evenly as can be.

use std::mem;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

use slab::Slab;

use super::call::Call;
use super::keep::Kept;
use crate::sys::opcode;

/// The number of a request, while it is in flight.
pub(super) type Token = u32;

/// The number of no request.
pub(super) const NO_REQUEST: Token = u32::MAX;

/// A request that is to continue later. Until then it may end, and another have its token.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub(super) token: Token,
    serial: u64,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For the link before it.
    Linked,
    /// For its next attempt, which is due.
    Runnable,
    /// For its descriptor, in the list of its waiters.
    Waiting,
    /// For a descriptor that was closed under it, as only a cancel ends it.
    Lost,
    /// For a worker.
    Job,
    /// For a time, in nanoseconds of the monotonic clock: that of a timeout, or of the next
    /// attempt.
    Timed(u64),
    /// As a linked timeout for the end of the request that it limits, and for a time once that has
    /// been begun.
    Limit { of: Token, until: Option<u64> },
}

/// The place of a request among the waiters of a descriptor.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) fd: RawFd,
    pub(super) events: u32,
    pub(super) before: Token,
    pub(super) after: Token,
}

pub(super) struct Request {
    pub(super) call: Call,
    pub(super) state: State,
    /// The file of the slot that it uses.
    pub(super) file: Option<Rc<OwnedFd>>,
    /// The file of the slot that a splice reads from.
    pub(super) source_file: Option<Rc<OwnedFd>>,
    /// Copies of what the SQE points to, and the operation may have freed since.
    pub(super) kept: Option<Box<Kept>>,
    /// The bytes that it has moved, of all that it is to move (`MSG_WAITALL`).
    pub(super) moved: u32,
    /// The bytes that it is to move, if it severs its chain by fewer.
    pub(super) whole: u32,
    /// The time that a timeout was given, in nanoseconds.
    pub(super) nanos: u64,
    /// Whether a cancel has come while a worker had it.
    pub(super) was_cancelled: bool,
    /// Whether the socket is to be made blocking again at the end.
    pub(super) was_blocking: bool,
    /// The link behind it.
    pub(super) next: Token,
    /// Its linked timeout.
    pub(super) limit: Token,
    pub(super) place: Place,
    /// Tells it from other requests that have had its token.
    serial: u64,
    next_in_bucket: Token,
}

impl Request {
    pub(super) fn new(call: Call) -> Self {
        let place = Place { fd: -1, events: 0, before: NO_REQUEST, after: NO_REQUEST };
        Self {
            call,
            state: State::Runnable,
            file: None,
            source_file: None,
            kept: None,
            moved: 0,
            whole: 0,
            nanos: 0,
            was_cancelled: false,
            was_blocking: false,
            next: NO_REQUEST,
            limit: NO_REQUEST,
            place,
            serial: 0,
            next_in_bucket: NO_REQUEST,
        }
    }

    /// Whether a cancel finds it: it has begun, and is no linked timeout and no cancel.
    fn is_cancellable(&self) -> bool {
        !matches!(self.state, State::Linked | State::Limit { .. })
            && self.call.sqe.opcode() != opcode::AsyncCancel::CODE
    }

    /// Whether it is to be found by its user data. No cancel finds a linked timeout, and all of the
    /// driver's have the same user data, so that one bucket would hold them all.
    fn has_bucket(&self) -> bool {
        self.call.sqe.opcode() != opcode::LinkTimeout::CODE
    }
}

#[derive(Default)]
pub(super) struct Requests {
    slab: Slab<Request>,
    /// The first request of each bucket. A power of two, and at least as many as requests.
    buckets: Vec<Token>,
    /// How many there have been.
    count: u64,
}

impl Requests {
    pub(super) fn insert(&mut self, mut request: Request) -> Token {
        self.count += 1;
        request.serial = self.count;
        let token = self.slab.insert(request) as Token;
        if self.slab.len() > self.buckets.len() {
            self.spread();
        } else {
            self.enter_bucket(token);
        }
        token
    }

    pub(super) fn remove(&mut self, token: Token) -> Request {
        let request = self.slab.remove(token as usize);
        if !request.has_bucket() {
            return request;
        }
        let bucket = self.bucket_of(&request);
        let mut at = self.buckets[bucket];
        if at == token {
            self.buckets[bucket] = request.next_in_bucket;
        } else {
            while self[at].next_in_bucket != token {
                at = self[at].next_in_bucket;
            }
            self[at].next_in_bucket = request.next_in_bucket;
        }
        request
    }

    pub(super) fn get(&self, token: Token) -> Option<&Request> {
        self.slab.get(token as usize)
    }

    /// What names this request, and none that has its token after it.
    pub(super) fn due(&self, token: Token) -> Due {
        Due { token, serial: self[token].serial }
    }

    /// The request that was named, if it has not ended.
    pub(super) fn get_due(&self, due: Due) -> Option<&Request> {
        self.get(due.token).filter(|request| request.serial == due.serial)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// The first request with this user data that a cancel finds.
    pub(super) fn find(&self, user_data: u64) -> Option<Token> {
        let mask = self.buckets.len().checked_sub(1)?;
        let mut at = self.buckets[user_data as usize & mask];
        while at != NO_REQUEST {
            let request = &self[at];
            if request.call.sqe.user_data() == user_data && request.is_cancellable() {
                return Some(at);
            }
            at = request.next_in_bucket;
        }
        None
    }

    /// All that a cancel finds.
    pub(super) fn cancellable(&self) -> impl Iterator<Item = (Token, &Request)> {
        let all = self.slab.iter().map(|(token, request)| (token as Token, request));
        all.filter(|(_, request)| request.is_cancellable())
    }

    /// Leaves the files of slots open that a worker uses, or is going to.
    pub(super) fn leak_files_of_jobs(&mut self) {
        let jobs = self.slab.iter_mut().filter(|(_, request)| request.state == State::Job);
        jobs.for_each(|(_, job)| mem::forget((job.file.take(), job.source_file.take())));
    }

    fn bucket_of(&self, request: &Request) -> usize {
        request.call.sqe.user_data() as usize & (self.buckets.len() - 1)
    }

    fn enter_bucket(&mut self, token: Token) {
        if !self[token].has_bucket() {
            return;
        }
        let bucket = self.bucket_of(&self[token]);
        self[token].next_in_bucket = self.buckets[bucket];
        self.buckets[bucket] = token;
    }

    /// Makes more buckets.
    fn spread(&mut self) {
        let count = (2 * self.buckets.len()).max(64);
        self.buckets.clear();
        self.buckets.resize(count, NO_REQUEST);
        let tokens: Vec<_> = self.slab.iter().map(|(token, _)| token as Token).collect();
        tokens.into_iter().for_each(|token| self.enter_bucket(token));
    }
}

impl std::ops::Index<Token> for Requests {
    type Output = Request;

    fn index(&self, token: Token) -> &Request {
        &self.slab[token as usize]
    }
}

impl std::ops::IndexMut<Token> for Requests {
    fn index_mut(&mut self, token: Token) -> &mut Request {
        &mut self.slab[token as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Sqe, timespec};

    /// Each connect with a limit has one, and they end in any order.
    #[test]
    fn linked_timeouts_that_share_their_user_data_share_no_bucket() {
        let limit = timespec(std::time::Duration::from_secs(1));
        let mut requests = Requests::default();
        let tokens: Vec<_> = (0..1000)
            .flat_map(|number| {
                let timeout = opcode::LinkTimeout::new(&limit).build().user_data(7);
                [opcode::Nop::new().build().user_data(number), timeout]
            })
            .map(|sqe| requests.insert(Request::new(Call::of(*Sqe::of(&sqe)))))
            .collect();
        for &first in &requests.buckets {
            let next = requests.get(first).map(|request| request.next_in_bucket);
            assert!(next.is_none_or(|next| next == NO_REQUEST));
        }
        tokens.into_iter().for_each(|token| drop(requests.remove(token)));
        assert!(requests.is_empty());
    }

    #[test]
    fn a_request_is_not_taken_for_the_one_that_had_its_token_before() {
        let mut requests = Requests::default();
        let insert = |requests: &mut Requests| {
            requests.insert(Request::new(Call::of(*Sqe::of(&opcode::Nop::new().build()))))
        };
        let first = insert(&mut requests);
        let due = requests.due(first);
        assert!(requests.get_due(due).is_some());
        requests.remove(first);
        assert_eq!(insert(&mut requests), first);
        assert!(requests.get_due(due).is_none());
    }
}
