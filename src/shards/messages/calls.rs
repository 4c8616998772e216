//! The calls of one shard to others that have no answer yet, or one that was not taken.

use std::mem;
use std::task::Waker;

use slab::Slab;

use super::work::Work;
use crate::task::LocalWaker;

/// By the number that a request carries.
#[derive(Default)]
pub(super) struct Calls {
    calls: Slab<Call>,
}

struct Call {
    peer: usize,
    state: State,
}

enum State {
    /// Its request was written; the waker of the future that awaits the answer.
    Waiting(LocalWaker),
    /// Its answer has come.
    Answered(Box<dyn Work>),
    /// Its target has ended without an answer.
    Ended,
    /// Its future is gone, and its answer has not come.
    Abandoned,
}

/// What remains of a call, to be dropped where foreign code may run.
pub(super) enum Rest {
    Waker(LocalWaker),
    Work(Box<dyn Work>),
    Nothing,
}

impl Calls {
    /// A new call, whose future waits.
    pub(super) fn open(&mut self, peer: usize, waker: LocalWaker) -> usize {
        self.calls.insert(Call { peer, state: State::Waiting(waker) })
    }

    /// The answer of a call, which ends it; `None` if its target has ended. While there is none, a
    /// `clone` of the waker is stored; the second value is the one to drop.
    pub(super) fn poll(
        &mut self,
        call: usize,
        waker: &Waker,
        clone: &mut Option<LocalWaker>,
    ) -> Polled {
        match &mut self.calls[call].state {
            State::Waiting(present) if present.will_wake(waker) => Polled::Pending(None),
            State::Waiting(present) => match clone.take() {
                Some(clone) => Polled::Pending(Some(mem::replace(present, clone))),
                None => Polled::NeedsWaker,
            },
            State::Answered(_) | State::Ended => match self.calls.remove(call).state {
                State::Answered(work) => Polled::Ready(Some(work)),
                _ => Polled::Ready(None),
            },
            State::Abandoned => unreachable!("an abandoned call has no future"),
        }
    }

    /// The future of a call is gone.
    pub(super) fn abandon(&mut self, call: usize) -> Rest {
        match mem::replace(&mut self.calls[call].state, State::Abandoned) {
            State::Waiting(waker) => Rest::Waker(waker),
            State::Answered(work) => {
                self.calls.remove(call);
                Rest::Work(work)
            }
            State::Ended | State::Abandoned => {
                self.calls.remove(call);
                Rest::Nothing
            }
        }
    }

    /// The answer of a call has come: its waker is to be woken, or the answer to be dropped.
    pub(super) fn answer(&mut self, call: usize, work: Box<dyn Work>) -> Rest {
        let state = &mut self.calls[call].state;
        if let State::Abandoned = state {
            self.calls.remove(call);
            return Rest::Work(work);
        }
        match mem::replace(state, State::Answered(work)) {
            State::Waiting(waker) => Rest::Waker(waker),
            _ => unreachable!("a call has one answer"),
        }
    }

    /// Ends the calls to a peer that have no answer, and returns the wakers.
    pub(super) fn end(&mut self, peer: usize) -> Vec<LocalWaker> {
        let mut wakers = Vec::new();
        self.calls.retain(|_, call| {
            if call.peer != peer {
                return true;
            }
            match mem::replace(&mut call.state, State::Ended) {
                State::Waiting(waker) => wakers.push(waker),
                State::Abandoned => return false,
                answered => call.state = answered,
            }
            true
        });
        wakers
    }
}

/// The outcome of [`Calls::poll`].
pub(super) enum Polled {
    Ready(Option<Box<dyn Work>>),
    Pending(Option<LocalWaker>),
    /// Clone the waker, and poll again: that is foreign code.
    NeedsWaker,
}

#[cfg(all(test, not(annulus_loom)))]
mod tests {
    use super::*;
    use crate::shards::messages::work::Closure;

    fn open(calls: &mut Calls, peer: usize) -> usize {
        calls.open(peer, LocalWaker::new(Waker::noop()))
    }

    fn work() -> Box<dyn Work> {
        Box::new(Closure::Waiting(|| ()))
    }

    fn is_ready(calls: &mut Calls, call: usize) -> bool {
        matches!(calls.poll(call, Waker::noop(), &mut None), Polled::Ready(_))
    }

    /// By any of the orders in which its answer comes, its target ends, and its future takes the
    /// answer or is dropped.
    #[test]
    fn each_call_is_forgotten_once_it_has_ended() {
        let mut calls = Calls::default();
        let [answered, answered_unused, unused_answered] = [(); 3].map(|()| open(&mut calls, 0));
        let [ended, ended_unused, unused_ended] = [(); 3].map(|()| open(&mut calls, 1));
        assert!(matches!(calls.abandon(unused_answered), Rest::Waker(_)));
        assert!(matches!(calls.abandon(unused_ended), Rest::Waker(_)));
        for call in [answered, answered_unused] {
            assert!(matches!(calls.answer(call, work()), Rest::Waker(_)));
        }
        assert!(matches!(calls.answer(unused_answered, work()), Rest::Work(_)));
        assert_eq!(calls.end(1).len(), 2);
        assert!(is_ready(&mut calls, answered) && is_ready(&mut calls, ended));
        assert!(matches!(calls.abandon(answered_unused), Rest::Work(_)));
        assert!(matches!(calls.abandon(ended_unused), Rest::Nothing));
        assert!(calls.calls.is_empty(), "{} are left", calls.calls.len());
    }
}
