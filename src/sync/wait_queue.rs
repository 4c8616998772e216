//! The wait queue: the FIFO list of waiters that every primitive of this module has.
//!
//! It is a list in a slab, linked by indices: a wait takes a free entry and puts its own back, so
//! nothing is allocated once the slab has grown, and a waiter in the middle is removed without a
//! search. The memory of a crowd is freed once no future waits.
//!
//! Notifying a waiter takes it out of the list. Its entry stays only until its future has seen the
//! notification, or is dropped. What a notification means (a permit is yours, the event was set) is
//! settled when it is made, not when the future is polled; so a forgotten future keeps an entry and
//! what it was given, but blocks no other waiter.
//!
//! Nothing here runs foreign code: a waker to be woken or dropped is returned to the caller. See
//! `state_cell`.

use std::mem;
use std::task::Waker;

use slab::Slab;

use crate::task::Shrink;

/// No entry has this index.
const NONE: usize = usize::MAX;

/// A state with a wait queue, whose waiters wait for the state to change.
pub(super) trait HasWaiters {
    type Payload;

    fn waiters(&mut self) -> &mut WaitQueue<Self::Payload>;
}

impl<P> HasWaiters for WaitQueue<P> {
    type Payload = P;

    fn waiters(&mut self) -> &mut Self {
        self
    }
}

/// Waiting futures, first in, first out. Each has a payload that says what it waits for, and in
/// which it finds what it was given.
pub(super) struct WaitQueue<P> {
    entries: Slab<Entry<P>>,
    first: usize,
    last: usize,
    /// How many have not been notified.
    waiting: usize,
    /// Empty. Its capacity serves for the wakers of waiters that are notified together.
    spare: Vec<Waker>,
}

struct Entry<P> {
    /// `None` once it has been notified.
    waker: Option<Waker>,
    previous: usize,
    next: usize,
    payload: P,
}

/// A future's entry in the queue. Only [`WaitQueue::remove`] frees it.
#[derive(Debug)]
pub(super) struct WaiterId(usize);

/// The state of a waiter, for one that is polled with a given waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaiterState {
    Notified,
    /// It waits, and the given waker is the one that will be woken.
    Waiting,
    /// It waits, but another waker would be woken.
    StaleWaker,
}

/// What remains of a waiter that was removed.
pub(super) struct Removed<P> {
    pub(super) payload: P,
    pub(super) notified: bool,
    /// To be dropped where foreign code may run.
    _waker: Option<Waker>,
}

impl<P> WaitQueue<P> {
    pub(super) const fn new() -> Self {
        Self { entries: Slab::new(), first: NONE, last: NONE, waiting: 0, spare: Vec::new() }
    }

    /// How many wait. Those that were notified do not count.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Adds a waiter at the end of the queue.
    pub(super) fn enqueue(&mut self, waker: Waker, payload: P) -> WaiterId {
        let previous = self.last;
        let entry = Entry { waker: Some(waker), previous, next: NONE, payload };
        let index = self.entries.insert(entry);
        self.waiting += 1;
        self.link(previous, index);
        self.last = index;
        WaiterId(index)
    }

    /// Notifies the first waiter if `allow` returns true, and returns its waker, to be woken.
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

    /// Notifies the first `count` waiters together, in order, so that nothing happens in between.
    /// Returns their wakers, to be woken; the vector is then to be [recycled](WaitQueue::recycle).
    pub(super) fn notify(&mut self, count: usize, mut mark: impl FnMut(&mut P)) -> Vec<Waker> {
        let mut wakers = mem::take(&mut self.spare);
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
    pub(super) fn recycle(&mut self, wakers: Vec<Waker>) {
        debug_assert!(wakers.is_empty());
        if wakers.capacity() > self.spare.capacity() {
            self.spare = wakers;
            self.spare.shrink();
        }
    }

    /// The state of a waiter that is polled with `waker`.
    pub(super) fn state(&self, id: &WaiterId, waker: &Waker) -> WaiterState {
        match &self.entries[id.0].waker {
            None => WaiterState::Notified,
            Some(present) if present.will_wake(waker) => WaiterState::Waiting,
            Some(_) => WaiterState::StaleWaker,
        }
    }

    pub(super) fn is_notified(&self, id: &WaiterId) -> bool {
        self.entries[id.0].waker.is_none()
    }

    /// Replaces the waker of a waiter. Returns the one that is not needed: the former, or the new
    /// one if the waiter has been notified already.
    pub(super) fn replace_waker(&mut self, id: &WaiterId, waker: Waker) -> Waker {
        match &mut self.entries[id.0].waker {
            None => waker,
            Some(present) => mem::replace(present, waker),
        }
    }

    /// Removes a waiter, whether or not it was notified.
    #[expect(clippy::needless_pass_by_value, reason = "an entry is removed once")]
    pub(super) fn remove(&mut self, id: WaiterId) -> Removed<P> {
        let notified = self.is_notified(&id);
        if !notified {
            self.unlink(id.0);
        }
        let entry = self.entries.remove(id.0);
        self.entries.shrink();
        Removed { payload: entry.payload, notified, _waker: entry.waker }
    }

    /// Takes an entry out of the list. It stays in the slab.
    fn unlink(&mut self, index: usize) {
        let Entry { previous, next, .. } = self.entries[index];
        self.link(previous, next);
        match self.entries.get_mut(next) {
            Some(entry) => entry.previous = previous,
            None => self.last = previous,
        }
        self.waiting -= 1;
    }

    /// Makes `next` the entry after `previous`.
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
        let enqueue = |payload| waiters.enqueue(Waker::noop().clone(), payload);
        let ids = payloads.into_iter().map(enqueue).collect();
        (waiters, ids)
    }

    #[test]
    fn waiters_are_notified_in_the_order_in_which_they_were_enqueued() {
        let (mut waiters, ids) = queue_of(0..3);
        assert_eq!([(); 4].map(|()| notify(&mut waiters)), [Some(0), Some(1), Some(2), None]);
        assert!(waiters.is_empty() && ids.iter().all(|id| waiters.is_notified(id)));
    }

    #[test]
    fn a_waiter_can_be_removed_from_anywhere() {
        for removing in 0..3 {
            let (mut waiters, mut ids) = queue_of(0..3);
            let removed = waiters.remove(ids.remove(removing));
            assert!(!removed.notified && removed.payload == removing as u32);
            assert_eq!(waiters.len(), 2);
            let rest: Vec<_> = std::iter::from_fn(|| notify(&mut waiters)).collect();
            let expected: Vec<_> = (0..3).filter(|payload| *payload != removing as u32).collect();
            assert_eq!(rest, expected);
        }
    }

    #[test]
    fn a_notified_waiter_keeps_its_entry_until_it_is_removed() {
        let (mut waiters, mut ids) = queue_of(0..1);
        notify(&mut waiters);
        assert_eq!((waiters.len(), waiters.entries.len()), (0, 1));
        assert!(waiters.remove(ids.remove(0)).notified);
        assert_eq!(waiters.entries.len(), 0);
    }

    #[test]
    fn a_first_waiter_that_is_not_allowed_blocks_those_behind() {
        let (mut waiters, _ids) = queue_of([5, 1]);
        assert!(waiters.notify_first(|payload| *payload <= 1).is_none());
        assert_eq!(waiters.len(), 2);
    }

    #[test]
    fn notifying_several_chooses_those_that_have_waited_longest() {
        let (mut waiters, ids) = queue_of(0..3);
        let mut marked = Vec::new();
        let notified = waiters.notify(2, |payload| marked.push(*payload));
        assert_eq!((notified.len(), marked), (2, vec![0, 1]));
        let notified = ids.iter().map(|id| waiters.is_notified(id));
        assert_eq!(notified.collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(waiters.notify(usize::MAX, |_| {}).len(), 1);
    }

    #[test]
    fn freed_entries_are_used_again() {
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

    // A hand-written random generator with a fixed seed: each run does the same.
    #[test]
    fn random_operations_agree_with_a_plain_queue() {
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
        // Miri is a thousand times slower.
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
                    let removed = waiters.remove(id);
                    let waiting = model.iter().position(|waiting| *waiting == payload);
                    assert_eq!((removed.payload, removed.notified), (payload, waiting.is_none()));
                    waiting.map(|position| model.remove(position));
                }
            }
            assert_eq!((waiters.len(), waiters.entries.len()), (model.len(), ids.len()));
        }
    }
}
