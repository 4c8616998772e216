//! The queue of those that wait, which every primitive of this room has.
//!
//! It is a list in a slab, linked by indices: a wait takes a free entry and puts its own back, so
//! that nothing is allocated once the slab has grown, and a waiter in the middle leaves without a
//! search. What a crowd has left behind is given back when nobody waits any more.
//!
//! A waiter is *called* when its turn has come: it is then out of the queue, and its entry stays
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

/// Waiting futures, first in first out, each with a note of what it waits for.
pub(super) struct Waiters<N> {
    entries: Slab<Entry<N>>,
    first: usize,
    last: usize,
    /// How many wait to be called.
    waiting: usize,
    /// Empty, with room for the wakers of those that are called together.
    room: Vec<Waker>,
}

struct Entry<N> {
    /// `None` once it has been called.
    waker: Option<Waker>,
    previous: usize,
    next: usize,
    note: N,
}

/// A future's place in the queue. Only [`Waiters::leave`] frees it.
#[derive(Debug)]
pub(super) struct Place(usize);

/// How a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its turn has come.
    Called,
    /// It will be called by the waker in question.
    Waiting,
    /// It would be called by another waker.
    WaitingElsewhere,
}

/// What a waiter leaves behind.
pub(super) struct Left<N> {
    pub(super) note: N,
    pub(super) called: bool,
    /// To be dropped where foreign code may run.
    _waker: Option<Waker>,
}

impl<N> Waiters<N> {
    pub(super) const fn new() -> Self {
        Self { entries: Slab::new(), first: NONE, last: NONE, waiting: 0, room: Vec::new() }
    }

    /// How many wait to be called.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Joins at the end of the queue.
    pub(super) fn join(&mut self, waker: Waker, note: N) -> Place {
        let previous = self.last;
        let index = self.entries.insert(Entry { waker: Some(waker), previous, next: NONE, note });
        self.waiting += 1;
        self.link(previous, index);
        self.last = index;
        Place(index)
    }

    /// Calls the first waiter if `allow` allows it, and gives the waker that is to be woken.
    pub(super) fn call_first(&mut self, allow: impl FnOnce(&mut N) -> bool) -> Option<Waker> {
        let index = self.first;
        let entry = self.entries.get_mut(index)?;
        if !allow(&mut entry.note) {
            return None;
        }
        let waker = entry.waker.take();
        self.unlink(index);
        waker
    }

    /// Calls up to `count` waiters together, the first first, so that nothing comes between the
    /// calls. The wakers are to be woken, and the vector to be [kept](Waiters::keep).
    pub(super) fn call(&mut self, count: usize, mut mark: impl FnMut(&mut N)) -> Vec<Waker> {
        let mut wakers = mem::take(&mut self.room);
        for _ in 0..count.min(self.waiting) {
            let waker = self.call_first(|note| {
                mark(note);
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

    /// How a waiter stands, if it wants to be called by `waker`.
    pub(super) fn standing(&self, place: &Place, waker: &Waker) -> Standing {
        match &self.entries[place.0].waker {
            None => Standing::Called,
            Some(present) if present.will_wake(waker) => Standing::Waiting,
            Some(_) => Standing::WaitingElsewhere,
        }
    }

    pub(super) fn is_called(&self, place: &Place) -> bool {
        self.entries[place.0].waker.is_none()
    }

    /// Has a waiter called by another waker. Gives back the one that is not needed: the former, or
    /// the new one if the waiter has been called already.
    pub(super) fn replace_waker(&mut self, place: &Place, waker: Waker) -> Waker {
        match &mut self.entries[place.0].waker {
            None => waker,
            Some(present) => mem::replace(present, waker),
        }
    }

    /// Gives up a place, also of a waiter that was called.
    #[expect(clippy::needless_pass_by_value, reason = "a place is given up once")]
    pub(super) fn leave(&mut self, place: Place) -> Left<N> {
        let called = self.is_called(&place);
        if !called {
            self.unlink(place.0);
        }
        let entry = self.entries.remove(place.0);
        self.entries.shrink();
        Left { note: entry.note, called, _waker: entry.waker }
    }

    /// Takes an entry out of the queue. It keeps its place in the slab.
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

    fn call(waiters: &mut Waiters<u32>) -> Option<u32> {
        let mut called = None;
        waiters.call_first(|note| {
            called = Some(*note);
            true
        })?;
        called
    }

    fn queue_of(notes: impl IntoIterator<Item = u32>) -> (Waiters<u32>, Vec<Place>) {
        let mut waiters = Waiters::new();
        let join = |note| waiters.join(Waker::noop().clone(), note);
        let places = notes.into_iter().map(join).collect();
        (waiters, places)
    }

    #[test]
    fn waiters_are_called_in_the_order_in_which_they_joined() {
        let (mut waiters, places) = queue_of(0..3);
        assert_eq!([(); 4].map(|()| call(&mut waiters)), [Some(0), Some(1), Some(2), None]);
        assert!(waiters.is_empty() && places.iter().all(|place| waiters.is_called(place)));
    }

    #[test]
    fn a_waiter_can_leave_from_anywhere() {
        for leaving in 0..3 {
            let (mut waiters, mut places) = queue_of(0..3);
            let left = waiters.leave(places.remove(leaving));
            assert!(!left.called && left.note == leaving as u32);
            assert_eq!(waiters.len(), 2);
            let rest: Vec<_> = std::iter::from_fn(|| call(&mut waiters)).collect();
            let expected: Vec<_> = (0..3).filter(|note| *note != leaving as u32).collect();
            assert_eq!(rest, expected);
        }
    }

    #[test]
    fn a_called_waiter_keeps_its_entry_until_it_leaves() {
        let (mut waiters, mut places) = queue_of(0..1);
        call(&mut waiters);
        assert_eq!((waiters.len(), waiters.entries.len()), (0, 1));
        assert!(waiters.leave(places.remove(0)).called);
        assert_eq!(waiters.entries.len(), 0);
    }

    #[test]
    fn a_first_waiter_that_is_not_allowed_holds_up_those_behind() {
        let (mut waiters, _places) = queue_of([5, 1]);
        assert!(waiters.call_first(|note| *note <= 1).is_none());
        assert_eq!(waiters.len(), 2);
    }

    #[test]
    fn a_call_of_many_is_of_those_that_have_waited_longest() {
        let (mut waiters, places) = queue_of(0..3);
        let mut marked = Vec::new();
        let called = waiters.call(2, |note| marked.push(*note));
        assert_eq!((called.len(), marked), (2, vec![0, 1]));
        let called = places.iter().map(|place| waiters.is_called(place));
        assert_eq!(called.collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(waiters.call(usize::MAX, |_| {}).len(), 1);
    }

    #[test]
    fn entries_are_used_again() {
        let (mut waiters, places) = queue_of(0..8);
        let capacity = waiters.entries.capacity();
        places.into_iter().for_each(|place| drop(waiters.leave(place)));
        for note in 0..1000 {
            let place = waiters.join(Waker::noop().clone(), note);
            if note % 2 == 0 {
                call(&mut waiters);
            }
            waiters.leave(place);
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
        let mut waiters = Waiters::new();
        let mut model = VecDeque::new();
        let mut places = Vec::new();
        // Miri takes a thousand times as long.
        let steps = if cfg!(miri) { 500 } else { 20_000_u32 };
        for note in 0..steps {
            match random(3) {
                0 => {
                    places.push((note, waiters.join(Waker::noop().clone(), note)));
                    model.push_back(note);
                }
                1 => assert_eq!(call(&mut waiters), model.pop_front()),
                _ if places.is_empty() => {}
                _ => {
                    let (note, place) = places.swap_remove(random(places.len()));
                    let left = waiters.leave(place);
                    let waiting = model.iter().position(|waiting| *waiting == note);
                    assert_eq!((left.note, left.called), (note, waiting.is_none()));
                    waiting.map(|position| model.remove(position));
                }
            }
            assert_eq!((waiters.len(), waiters.entries.len()), (model.len(), places.len()));
        }
    }
}
