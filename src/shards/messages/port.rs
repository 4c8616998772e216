//! A shard's end of all its links: what it sends is flushed from here once a turn, and what it
//! receives is taken in here, between its tasks.
//!
//! Nothing is borrowed while foreign code runs: closures, wakers, and the destructors of both.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::calls::{Calls, Polled, Rest};
use super::incarnation::Incarnation;
use super::link::{Incoming, Outgoing};
use super::mesh::{Mesh, Offer};
use super::values::Values;
use super::work::{Parcel, Work, discard_work};
use crate::error::{Incident, IncidentHook};
use crate::runtime::remote::{Attachment, FlushRequest, RemoteQueue};
use crate::sync::{OwnedPermit, Semaphore};
use crate::task::{Executor, JoinError, LocalWaker};

/// How many answers a turn takes, each of which wakes a task.
const MAX_ANSWERS_PER_TURN: usize = 1024;

pub(crate) struct Port {
    index: usize,
    mesh: Arc<Mesh>,
    here: Arc<Incarnation>,
    /// How many closures of other shards a turn runs.
    max_requests_per_turn: usize,
    flush_request: FlushRequest,
    incidents: IncidentHook,
    /// By index. That of this shard is never linked.
    peers: Box<[Peer]>,
    calls: RefCell<Calls>,
    /// Peers to which something was written since the last flush.
    written: RefCell<Vec<usize>>,
    /// Peers whose queues to this shard may have something, in the order in which they are served.
    ready: RefCell<VecDeque<usize>>,
    values: Values,
    is_closed: Cell<bool>,
}

#[derive(Default)]
struct Peer {
    outgoing: RefCell<Option<Sender>>,
    /// More than one only while those of former incarnations have requests left.
    incoming: RefCell<VecDeque<Incoming>>,
    is_written: Cell<bool>,
    is_ready: Cell<bool>,
}

struct Sender {
    link: Outgoing,
    credits: Rc<Semaphore>,
}

/// Room for a request in the queues of one link. Dropped unused, it is returned.
pub(super) struct Credit {
    /// All of that link.
    credits: Rc<Semaphore>,
    permit: OwnedPermit,
}

impl Port {
    /// Joins the mesh as the shard of this index.
    pub(crate) fn new(mesh: &Arc<Mesh>, index: usize, attachment: Attachment) -> Self {
        let Attachment { notifier, flush_request, incidents, max_polls_per_turn } = attachment;
        let here = mesh.join(index, notifier);
        Self {
            index,
            mesh: Arc::clone(mesh),
            here,
            max_requests_per_turn: max_polls_per_turn,
            flush_request,
            incidents,
            is_closed: Cell::new(false),
            peers: (0..mesh.count()).map(|_| Peer::default()).collect(),
            calls: RefCell::default(),
            written: RefCell::default(),
            ready: RefCell::default(),
            values: Values::default(),
        }
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    pub(super) fn incarnation(&self) -> &Arc<Incarnation> {
        &self.here
    }

    // Sending.

    /// Waits for a credit to send a request to a peer. The caller uses it before it awaits anything
    /// else.
    pub(super) async fn acquire(&self, peer: usize) -> Result<Credit, JoinError> {
        let credits = self.credits(peer).ok_or(JoinError::Ended)?;
        // It is closed when the link ends.
        let permit = Rc::clone(&credits).acquire_owned().await.map_err(|_| JoinError::Ended)?;
        Ok(Credit { credits, permit })
    }

    fn credits(&self, peer: usize) -> Option<Rc<Semaphore>> {
        let credits =
            |peer: &Peer| peer.outgoing.borrow().as_ref().map(|to| Rc::clone(&to.credits));
        let found = credits(&self.peers[peer]);
        // Once this port is closed, what the mesh offers is meant for the shard's next one.
        if found.is_none() && !self.is_closed.get() && self.here.take_offers() {
            // It has started since this shard last looked.
            self.take_offers();
            return credits(&self.peers[peer]);
        }
        found
    }

    /// Writes a request, for which the credit was acquired in the same poll. Returns its number, or
    /// the request if the link of the credit has ended.
    pub(super) fn send(
        &self,
        peer: usize,
        credit: Credit,
        work: Box<dyn Work>,
        context: &Context<'_>,
    ) -> Result<usize, Box<dyn Work>> {
        // Cloning a waker is foreign code: it may panic, which returns the credit. Afterwards the
        // link may have ended, and another may be there.
        let waker = LocalWaker::new(context.waker());
        let mut outgoing = self.peers[peer].outgoing.borrow_mut();
        let sender = match &mut *outgoing {
            Some(sender) if Rc::ptr_eq(&sender.credits, &credit.credits) => sender,
            _ => {
                drop(outgoing);
                return Err(work);
            }
        };
        // It is returned when the answer has come.
        credit.permit.forget();
        let call = self.calls.borrow_mut().open(peer, waker);
        sender.link.push(Parcel::new(call, work));
        self.note_written(peer);
        Ok(call)
    }

    /// Waits for the answer of a call; `None` if the target has ended.
    pub(super) fn poll_answer(
        &self,
        call: usize,
        context: &Context<'_>,
    ) -> Poll<Option<Box<dyn Work>>> {
        let mut clone = None;
        loop {
            let polled = self.calls.borrow_mut().poll(call, context.waker(), &mut clone);
            match polled {
                // Cloning a waker is foreign code.
                Polled::NeedsWaker => clone = Some(LocalWaker::new(context.waker())),
                Polled::Ready(answer) => return Poll::Ready(answer),
                Polled::Pending(former) => {
                    drop(former);
                    return Poll::Pending;
                }
            }
        }
    }

    /// The future of a call is gone.
    pub(super) fn abandon(&self, call: usize) {
        let rest = self.calls.borrow_mut().abandon(call);
        self.dispose(rest, drop);
    }

    fn note_written(&self, peer: usize) {
        if !self.peers[peer].is_written.replace(true) {
            self.written.borrow_mut().push(peer);
            self.flush_request.request();
        }
    }

    fn flush_peer(&self, peer: &Peer) {
        peer.is_written.set(false);
        let mut outgoing = peer.outgoing.borrow_mut();
        let target = outgoing.as_mut().and_then(|sender| sender.link.publish());
        for link in peer.incoming.borrow_mut().iter_mut() {
            match link.publish() {
                // Requests and answers to one shard cost one signal, which follows both.
                Some(sender) if target.is_some_and(|target| Arc::ptr_eq(target, sender)) => {}
                Some(sender) => sender.signal(self.index),
                None => {}
            }
        }
        if let Some(target) = target {
            target.signal(self.index);
        }
    }

    // Receiving.

    fn mark_ready(&self, peer: usize) {
        if !self.peers[peer].is_ready.replace(true) {
            self.ready.borrow_mut().push_back(peer);
        }
    }

    /// Takes what the mesh offers.
    fn take_offers(&self) {
        for Offer { peer, outgoing, incoming } in self.mesh.take_offers(self.index) {
            // The former incarnation has ended, so its answers are all there.
            while self.take_answer(peer) {}
            self.end_sending(peer);
            let credits = Rc::new(Semaphore::new(self.mesh.capacity()));
            let to = &self.peers[peer];
            *to.outgoing.borrow_mut() = Some(Sender { link: outgoing, credits });
            to.incoming.borrow_mut().push_back(incoming);
            self.mark_ready(peer);
        }
    }

    /// Takes in what a peer has sent, at most `max_requests` requests. Returns whether there is
    /// more.
    fn receive_from(&self, peer: usize, max_requests: usize, answers_left: &mut usize) -> bool {
        let has_answers = self.receive_answers(peer, answers_left);
        let has_requests = self.receive_requests(peer, max_requests);
        has_answers || has_requests
    }

    fn receive_answers(&self, peer: usize, left: &mut usize) -> bool {
        while *left > 0 && self.take_answer(peer) {
            *left -= 1;
        }
        // Looked up after the foreign code, which may have had this port take the link of a new
        // incarnation. The flag first: no answer comes after it.
        let (has_ended, has_more) = match &mut *self.peers[peer].outgoing.borrow_mut() {
            Some(sender) => (sender.link.has_target_ended(), sender.link.finish_batch()),
            None => return false,
        };
        if has_ended && !has_more {
            self.end_sending(peer);
        }
        has_more
    }

    /// Takes an answer of a peer, if there is one.
    fn take_answer(&self, peer: usize) -> bool {
        let mut outgoing = self.peers[peer].outgoing.borrow_mut();
        let Some(sender) = &mut *outgoing else { return false };
        let Some(answer) = sender.link.pop() else { return false };
        let credits = Rc::clone(&sender.credits);
        drop(outgoing);
        let call = answer.call;
        let rest = self.calls.borrow_mut().answer(call, answer.into_work());
        self.dispose(rest, |waker| self.report(waker.wake_catching_panic()));
        credits.add_permits(1);
        true
    }

    /// The peer's incarnation has ended: ends the calls to it.
    fn end_sending(&self, peer: usize) {
        let sender = self.peers[peer].outgoing.borrow_mut().take();
        let Some(Sender { link, credits }) = sender else { return };
        drop(link);
        let wakers = self.calls.borrow_mut().end(peer);
        wakers.into_iter().for_each(|waker| self.report(waker.wake_catching_panic()));
        credits.close();
    }

    /// Runs requests of a peer. Returns whether there are more.
    fn receive_requests(&self, peer: usize, max: usize) -> bool {
        let from = &self.peers[peer];
        let mut left = max;
        loop {
            let has_ended = match from.incoming.borrow().front() {
                Some(link) => link.has_sender_ended(),
                None => return false,
            };
            while left > 0 && self.run_request(peer, has_ended) {
                left -= 1;
            }
            let mut incoming = from.incoming.borrow_mut();
            let Some(link) = incoming.front_mut() else { return false };
            if link.finish_batch() {
                return true;
            }
            if !has_ended {
                return false;
            }
            let ended = incoming.pop_front();
            drop(incoming);
            drop(ended);
        }
    }

    /// Runs a request of a peer, if there is one. An answer that no shard takes is dropped here.
    fn run_request(&self, peer: usize, is_sender_gone: bool) -> bool {
        let incoming = &self.peers[peer].incoming;
        let request = incoming.borrow_mut().front_mut().and_then(Incoming::pop);
        let Some(mut request) = request else { return false };
        request.run();
        if is_sender_gone {
            self.report(discard_work(request.into_work()));
            return true;
        }
        if let Some(link) = incoming.borrow_mut().front_mut() {
            link.push(request);
            self.note_written(peer);
        }
        true
    }

    // Foreign code.

    fn dispose(&self, rest: Rest, with_waker: impl FnOnce(LocalWaker)) {
        match rest {
            Rest::Waker(waker) => with_waker(waker),
            Rest::Work(work) => self.report(discard_work(work)),
            Rest::Nothing => {}
        }
    }

    fn report(&self, panic: Option<String>) {
        if let Some(message) = panic {
            (self.incidents)(&Incident::CallbackPanicked { message });
        }
    }
}

impl RemoteQueue for Port {
    fn receive(&self, _executor: &Executor) -> bool {
        if self.here.take_offers() {
            self.take_offers();
        }
        let mut is_signalled_itself = false;
        self.here.take_signals(|peer| match peer == self.index {
            true => is_signalled_itself = true,
            false => self.mark_ready(peer),
        });
        if is_signalled_itself {
            self.values.sweep().into_iter().for_each(|message| self.report(Some(message)));
        }
        let count = self.ready.borrow().len();
        if count == 0 {
            return false;
        }
        // Each gets the same share, however much one has sent.
        let share = self.max_requests_per_turn.div_ceil(count);
        let mut answers_left = MAX_ANSWERS_PER_TURN;
        for _ in 0..count {
            let Some(peer) = self.ready.borrow_mut().pop_front() else { break };
            self.peers[peer].is_ready.set(false);
            if self.receive_from(peer, share, &mut answers_left) {
                self.mark_ready(peer);
            }
        }
        !self.ready.borrow().is_empty()
    }

    fn flush(&self) {
        loop {
            let Some(peer) = self.written.borrow_mut().pop() else { return };
            self.flush_peer(&self.peers[peer]);
        }
    }

    fn close(&self) {
        if self.is_closed.replace(true) {
            return;
        }
        // Dropped offers tell the peers.
        drop(self.mesh.leave(self.index));
        for (index, peer) in self.peers.iter().enumerate() {
            self.end_sending(index);
            let incoming = std::mem::take(&mut *peer.incoming.borrow_mut());
            drop(incoming);
        }
        self.values.close().into_iter().for_each(|message| self.report(Some(message)));
    }
}

/// However the runtime has ended.
impl Drop for Port {
    fn drop(&mut self) {
        self.close();
    }
}
