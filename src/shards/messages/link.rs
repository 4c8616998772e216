//! One direction between two shards: a queue of requests, and one of their answers.
//!
//! A request holds one of the link's credits from before it is written until its answer has been
//! taken, and there are as many credits as either queue has slots. So a push always finds room:
//!
//! - The target frees the slots of the requests it has taken before it publishes their answers,
//!   and the sender takes an answer before it uses that credit again.
//! - The sender frees the slots of the answers it has taken before it publishes the requests that
//!   use those credits again, and the target takes a request before it answers it.
//!
//! # Ends
//!
//! An end that is dropped, however its thread has ended, says so to the other end by a flag, after
//! all that it has published. The other end reads the flag before it looks at its queue for the
//! last time. So the sender learns which of its requests were answered, and the target runs every
//! request that a sender has published. What neither end takes is dropped with the queues, by the
//! later of the two; that is why closures and their outcomes must be `Send`.

use std::sync::Arc;

use super::incarnation::Incarnation;
use super::work::Parcel;
use crate::task::loom::{AtomicBool, Ordering};
use crate::task::{Consumer, Producer, spsc};

/// Which ends are gone.
#[derive(Default)]
struct Ended {
    sender: AtomicBool,
    target: AtomicBool,
}

/// Makes a link for `capacity` requests.
pub(super) fn link(
    sender: (usize, &Arc<Incarnation>),
    target: (usize, &Arc<Incarnation>),
    capacity: usize,
) -> (Outgoing, Incoming) {
    let (requests, their_requests) = spsc(capacity);
    let (answers, our_answers) = spsc(capacity);
    let ended = Arc::<Ended>::default();
    let outgoing = Outgoing {
        requests,
        answers: our_answers,
        own: sender.0,
        target: Arc::clone(target.1),
        ended: Arc::clone(&ended),
    };
    let incoming = Incoming {
        requests: their_requests,
        answers,
        own: target.0,
        sender: Arc::clone(sender.1),
        ended,
    };
    (outgoing, incoming)
}

/// The sender's end.
pub(super) struct Outgoing {
    requests: Producer<Parcel>,
    answers: Consumer<Parcel>,
    own: usize,
    target: Arc<Incarnation>,
    ended: Arc<Ended>,
}

impl Outgoing {
    /// Writes a request, for which the caller has a credit.
    pub(super) fn push(&mut self, request: Parcel) {
        let pushed = self.requests.push(request);
        assert!(pushed.is_ok(), "a request without a credit");
    }

    /// Shows the target what was written. Returns whom to signal, if that is anything.
    pub(super) fn publish(&mut self) -> Option<&Arc<Incarnation>> {
        self.requests.publish().then_some(&self.target)
    }

    /// Takes an answer.
    pub(super) fn pop(&mut self) -> Option<Parcel> {
        self.answers.pop()
    }

    /// Call this when no more answers are taken in this turn. Returns whether any are left.
    pub(super) fn finish_batch(&mut self) -> bool {
        self.answers.free();
        !self.answers.is_empty()
    }

    /// Whether no answers come beyond those that are there.
    pub(super) fn has_target_ended(&self) -> bool {
        self.ended.target.load(Ordering::Acquire)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.requests.publish();
        self.ended.sender.store(true, Ordering::Release);
        self.target.signal(self.own);
        while let Some(answer) = self.answers.pop() {
            drop(answer);
        }
    }
}

/// The target's end.
pub(super) struct Incoming {
    requests: Consumer<Parcel>,
    answers: Producer<Parcel>,
    own: usize,
    sender: Arc<Incarnation>,
    ended: Arc<Ended>,
}

impl Incoming {
    /// Takes a request.
    pub(super) fn pop(&mut self) -> Option<Parcel> {
        self.requests.pop()
    }

    /// Call this when no more requests are taken in this turn. Returns whether any are left.
    pub(super) fn finish_batch(&mut self) -> bool {
        self.requests.free();
        !self.requests.is_empty()
    }

    /// Writes the answer to a request that was taken.
    pub(super) fn push(&mut self, answer: Parcel) {
        let pushed = self.answers.push(answer);
        assert!(pushed.is_ok(), "an answer without a request");
    }

    /// Shows the sender what was written. Returns whom to signal, if that is anything.
    pub(super) fn publish(&mut self) -> Option<&Arc<Incarnation>> {
        self.answers.publish().then_some(&self.sender)
    }

    /// Whether no requests come beyond those that are there.
    pub(super) fn has_sender_ended(&self) -> bool {
        self.ended.sender.load(Ordering::Acquire)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        while let Some(request) = self.requests.pop() {
            drop(request);
        }
        self.answers.publish();
        self.ended.target.store(true, Ordering::Release);
        self.sender.signal(self.own);
    }
}
