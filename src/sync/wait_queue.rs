//! The queue of those that wait, which every primitive of this room has.
//!
//! It is a list in a slab, linked by indices: a wait takes a free entry and puts its own back, so
//! that nothing is allocated once the slab has grown, and a waiter in the middle leaves without a
//! search. What a crowd has left behind is given back when nobody waits any more.
//!
//! A waiter is *notified* when its turn has come: it is then out of the queue, and its entry stays
//! only until its future has seen the call, or is dropped. So whatever a call means (a permit is
//! yours, the event was set) is settled when it is made, not when the future gets to run; and a
//! future that is forgotten keeps an entry and what it was given, but stands in nobody's way.
//!
//! Nothing here runs foreign code: a waker that is to be woken or dropped is handed out. See `turn`.

use std::mem;
use std::task::Waker;

use slab::Slab;

use crate::task::Shrink;

/// No entry has this index.
const NONE: usize = usize::MAX;

/// Waiting futures, first in first out, each with a payload of what it waits for.
pub(super) struct WaitQueue<P> {
    entries: Slab<Entry<P>>,
    first: usize,
    last: usize,
    /// How many wait to be notified.
    waiting: usize,
    /// Empty, with room for the wakers of those that are notified together.
    room: Vec<Waker>,
}

struct Entry<P> {
    /// `None` once it has been notified.
    waker: Option<Waker>,
    previous: usize,
    next: usize,
    payload: P,
}

/// A future's id in the queue. Only [`WaitQueue::leave`] frees it.
#[derive(Debug)]
pub(super) struct WaiterId(usize);

/// How a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaiterState {
    /// Its turn has come.
    Notified,
    /// It will be notified by the waker in question.
    Waiting,
    /// It would be notified by another waker.
    StaleWaker,
}

/// What a waiter leaves behind.
pub(super) struct Removed<P> {
    pub(super) payload: P,
    pub(super) notified: bool,
    /// To be dropped where foreign code may run.
    _waker: Option<Waker>,
}

impl<P> WaitQueue<P> {
    pub(super) const fn new() -> Self {
        Self { entries: Slab::new(), first: NONE, last: NONE, waiting: 0, room: Vec::new() }
    }

    /// How many wait to be notified.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Joins at the end of the queue.
    pub(super) fn enqueue(&mut self, waker: Waker, payload: P) -> WaiterId {
        let previous = self.last;
        let index =
            self.entries.insert(Entry { waker: Some(waker), previous, next: NONE, payload });
        self.waiting += 1;
        self.link(previous, index);
        self.last = index;
        WaiterId(index)
    }

    /// Calls the first waiter if `allow` allows it, and gives the waker that is to be woken.
    pub(super) fn notify_first(&mut self, allow: impl FnOnce(&mut P) -> bool) -> Option<Waker> {
        let index = self.first;
        let entry = self.entries.get_mut(index)?;
        if !allow(&mut entry.payload) {
            return None;
        }
        let waker = entry.waker.take();
        self.unlink(index);
        waker
    }

    /// Calls up to `count` waiters together, the first first, so that nothing comes between the
    /// calls. The wakers are to be woken, and the vector to be [kept](WaitQueue::keep).
    pub(super) fn notify(&mut self, count: usize, mut mark: impl FnMut(&mut P)) -> Vec<Waker> {
        let mut wakers = mem::take(&mut self.room);
        for _ in 0..count.min(self.waiting) {
            let waker = self.notify_first(|payload| {
                mark(payload);
                true
            });
            wakers.extend(waker);
        }
        wakers
    }

    /// Takes back an empty vector, whose memory serves again.
    pub(super) fn keep(&mut self, room: Vec<Waker>) {
        debug_assert!(room.is_empty());
        if room.capacity() > self.room.capacity() {
            self.room = room;
            self.room.shrink();
        }
    }

    /// How a waiter stands, if it wants to be notified by `waker`.
    pub(super) fn standing(&self, id: &WaiterId, waker: &Waker) -> WaiterState {
        match &self.entries[id.0].waker {
            None => WaiterState::Notified,
            Some(present) if present.will_wake(waker) => WaiterState::Waiting,
            Some(_) => WaiterState::StaleWaker,
        }
    }

    pub(super) fn is_notified(&self, id: &WaiterId) -> bool {
        self.entries[id.0].waker.is_none()
    }

    /// Has a waiter notified by another waker. Gives back the one that is not needed: the former, or
    /// the new one if the waiter has been notified already.
    pub(super) fn replace_waker(&mut self, id: &WaiterId, waker: Waker) -> Waker {
        match &mut self.entries[id.0].waker {
            None => waker,
            Some(present) => mem::replace(present, waker),
        }
    }

    /// Gives up an id, also of a waiter that was notified.
    #[expect(clippy::needless_pass_by_value, reason = "an id is given up once")]
    pub(super) fn remove(&mut self, id: WaiterId) -> Removed<P> {
        let notified = self.is_notified(&id);
        if !notified {
            self.unlink(id.0);
        }
        let entry = self.entries.remove(id.0);
        self.entries.shrink();
        Removed { payload: entry.payload, notified, _waker: entry.waker }
    }

    /// Takes an entry out of the queue. It keeps its id in the slab.
    fn unlink(&mut self, index: usize) {
        let Entry { previous, next, .. } = self.entries[index];
        self.link(previous, next);
        match self.entries.get_mut(next) {
            Some(entry) => entry.previous = previous,
            None => self.last = previous,
        }
        self.waiting -= 1;
    }

    /// Lets `next` follow upon `previous`.
    fn link(&mut self, previous: usize, next: usize) {
        match self.entries.get_mut(previous) {
            Some(entry) => entry.next = next,
            None => self.first = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn notify(waiters: &mut WaitQueue<u32>) -> Option<u32> {
        let mut notified = None;
        waiters.notify_first(|payload| {
            notified = Some(*payload);
            true
        })?;
        notified
    }

    fn queue_of(payloads: impl IntoIterator<Item = u32>) -> (WaitQueue<u32>, Vec<WaiterId>) {
        let mut waiters = WaitQueue::new();
        let join = |payload| waiters.enqueue(Waker::noop().clone(), payload);
        let ids = payloads.into_iter().map(join).collect();
        (waiters, ids)
    }

    #[test]
    fn waiters_are_called_in_the_order_in_which_they_joined() {
        let (mut waiters, ids) = queue_of(0..3);
        assert_eq!([(); 4].map(|()| notify(&mut waiters)), [Some(0), Some(1), Some(2), None]);
        assert!(waiters.is_empty() && ids.iter().all(|id| waiters.is_notified(id)));
    }

    #[test]
    fn a_waiter_can_leave_from_anywhere() {
        for leaving in 0..3 {
            let (mut waiters, mut ids) = queue_of(0..3);
            let left = waiters.remove(ids.remove(leaving));
            assert!(!left.notified && left.payload == leaving as u32);
            assert_eq!(waiters.len(), 2);
            let rest: Vec<_> = std::iter::from_fn(|| notify(&mut waiters)).collect();
            let expected: Vec<_> = (0..3).filter(|payload| *payload != leaving as u32).collect();
            assert_eq!(rest, expected);
        }
    }

    #[test]
    fn a_called_waiter_keeps_its_entry_until_it_leaves() {
        let (mut waiters, mut ids) = queue_of(0..1);
        notify(&mut waiters);
        assert_eq!((waiters.len(), waiters.entries.len()), (0, 1));
        assert!(waiters.remove(ids.remove(0)).notified);
        assert_eq!(waiters.entries.len(), 0);
    }

    #[test]
    fn a_first_waiter_that_is_not_allowed_holds_up_those_behind() {
        let (mut waiters, _places) = queue_of([5, 1]);
        assert!(waiters.notify_first(|payload| *payload <= 1).is_none());
        assert_eq!(waiters.len(), 2);
    }

    #[test]
    fn a_call_of_many_is_of_those_that_have_waited_longest() {
        let (mut waiters, ids) = queue_of(0..3);
        let mut marked = Vec::new();
        let notified = waiters.notify(2, |payload| marked.push(*payload));
        assert_eq!((notified.len(), marked), (2, vec![0, 1]));
        let notified = ids.iter().map(|id| waiters.is_notified(id));
        assert_eq!(notified.collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(waiters.notify(usize::MAX, |_| {}).len(), 1);
    }

    #[test]
    fn entries_are_used_again() {
        let (mut waiters, ids) = queue_of(0..8);
        let capacity = waiters.entries.capacity();
        ids.into_iter().for_each(|id| drop(waiters.remove(id)));
        for payload in 0..1000 {
            let id = waiters.enqueue(Waker::noop().clone(), payload);
            if payload % 2 == 0 {
                notify(&mut waiters);
            }
            waiters.remove(id);
        }
        assert_eq!((waiters.entries.len(), waiters.entries.capacity()), (0, capacity));
    }

    // A generator of its own, so that it is the same each time.
    #[test]
    fn random_joins_calls_and_leaves_agree_with_a_plain_queue() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut waiters = WaitQueue::new();
        let mut model = VecDeque::new();
        let mut ids = Vec::new();
        // Miri takes a thousand times as long.
        let steps = if cfg!(miri) { 500 } else { 20_000_u32 };
        for payload in 0..steps {
            match random(3) {
                0 => {
                    ids.push((payload, waiters.enqueue(Waker::noop().clone(), payload)));
                    model.push_back(payload);
                }
                1 => assert_eq!(notify(&mut waiters), model.pop_front()),
                _ if ids.is_empty() => {}
                _ => {
                    let (payload, id) = ids.swap_remove(random(ids.len()));
                    let left = waiters.remove(id);
                    let waiting = model.iter().position(|waiting| *waiting == payload);
                    assert_eq!((left.payload, left.notified), (payload, waiting.is_none()));
                    waiting.map(|position| model.remove(position));
                }
            }
            assert_eq!((waiters.len(), waiters.entries.len()), (model.len(), ids.len()));
        }
    }
}
