//! The deadlines of this thread: a hierarchical timing wheel.
//!
//! Time is cut into ticks of about 65 µs, counted from the driver's start. Level 0 has a bucket for
//! each of the next 64 ticks, level 1 one for each of the next 64 spans of 64 ticks, and so on:
//! seven levels reach nine years ahead. A timer goes to the lowest level on which its tick and the
//! present differ, so starting and stopping one costs the same however many there are. When time
//! reaches a bucket of a higher level, its timers move down (each at most six times in its life).
//!
//! A deadline is rounded up to its tick, so no timer fires early. Timers of one tick fire in the
//! order of their exact deadlines; of more than fit in one move, those of each move do.
//!
//! A turn fires a bounded number of timers, and moves a bounded number of them to a lower level or
//! to those that are due. A bucket that is not empty after that is emptied further in the next
//! turn, and the wheel's time does not advance before.
//!
//! Timers are nodes of doubly linked lists in one slab: one list a bucket, one for those that are
//! due but did not fit in the turn's limit, none for those that have fired and wait to be removed,
//! and none for those that never will.

use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;

use super::tick::{Deadline, Rounding, Tick};
use crate::driver::trimming::trim_slab;
use crate::sys::saturating_deadline;
use crate::task::LocalWaker;

const BUCKET_BITS: u32 = 6;
const BUCKETS: usize = 1 << BUCKET_BITS;
const LEVELS: usize = 7;
/// The farthest that a timer can be placed ahead; later ones are placed again when it comes. One
/// bucket short of one revolution of the top level, so that it never meets the present's own
/// bucket.
const REACH: u64 = (BUCKETS as u64 - 1) << (BUCKET_BITS as usize * (LEVELS - 1));
/// The list of timers that are due.
const DUE: usize = BUCKETS * LEVELS;
/// The `place` of timers that have fired, which is no list.
const FIRED: usize = DUE + 1;
/// The `place` of timers that never fire, which is no list.
const NEVER: usize = DUE + 2;
/// How many timers may move for each that may fire. A timer moves seven times at most, so moves
/// keep up.
const MOVES: usize = 8;
/// How many timers memory is kept for when they are gone.
const KEPT: usize = 1024;
/// No node.
const NONE: u32 = u32::MAX;

/// Names a timer until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey(u32);

struct Timer {
    /// Half of the deadline; the other half is where there is room for it.
    tick: Tick,
    waker: Option<LocalWaker>,
    /// The index of the list that this is in, or [`FIRED`], or [`NEVER`].
    place: u16,
    within: u16,
    previous: u32,
    next: u32,
}

impl Timer {
    fn deadline(&self) -> Deadline {
        Deadline { tick: self.tick, within: self.within }
    }
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

pub(super) struct Wheel {
    start: Instant,
    /// The tick up to which timers have been moved to the due list, but for those in `emptying`.
    now: Tick,
    /// The list of a bucket that time has reached and that is not empty yet.
    emptying: Option<usize>,
    timers: Slab<Timer>,
    lists: Box<[List; DUE + 1]>,
    /// For each level, a bit for each bucket that holds timers.
    occupied: [u64; LEVELS],
    /// How many timers are going to fire.
    running: usize,
    /// The timers of the bucket that is being emptied; kept so that it is not allocated anew.
    batch: Vec<u32>,
    /// How many timers have been removed since memory was given back, while there was more than is
    /// kept.
    removed: usize,
}

impl Wheel {
    pub(super) fn new(start: Instant) -> Self {
        let empty = List { first: NONE, last: NONE };
        Self {
            start,
            now: Tick(0),
            emptying: None,
            timers: Slab::new(),
            lists: Box::new([empty; DUE + 1]),
            occupied: [0; LEVELS],
            running: 0,
            batch: Vec::new(),
            removed: 0,
        }
    }

    /// Gives back memory that was for more timers. None moves.
    pub(super) fn trim(&mut self) {
        trim_slab(&mut self.timers);
    }

    /// How many timers there are, fired ones that were not removed included.
    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no timer is going to fire.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.running == 0
    }

    /// Adds a timer that wakes `waker` once `deadline` has passed.
    pub(super) fn insert(&mut self, deadline: Instant, waker: LocalWaker) -> TimerKey {
        let Deadline { tick, within } = Deadline::new(self.elapsed(deadline));
        let (waker, place) = (Some(waker), FIRED as u16);
        let timer = Timer { tick, waker, place, within, previous: NONE, next: NONE };
        let index = u32::try_from(self.timers.insert(timer)).ok().filter(|&index| index != NONE);
        let index = index.expect("fewer than 2^32 timers");
        self.start_running(index);
        TimerKey(index)
    }

    /// Moves a timer to another deadline. If it had fired it has no waker.
    pub(super) fn restart(&mut self, key: TimerKey, deadline: Instant) {
        self.stop_running(key.0);
        let Deadline { tick, within } = Deadline::new(self.elapsed(deadline));
        let timer = &mut self.timers[key.0 as usize];
        (timer.tick, timer.within) = (tick, within);
        self.start_running(key.0);
    }

    pub(super) fn has_fired(&self, key: TimerKey) -> bool {
        self.timers[key.0 as usize].place as usize == FIRED
    }

    pub(super) fn will_wake(&self, key: TimerKey, waker: &Waker) -> bool {
        let present = &self.timers[key.0 as usize].waker;
        present.as_ref().is_some_and(|present| present.will_wake(waker))
    }

    pub(super) fn replace_waker(&mut self, key: TimerKey, waker: LocalWaker) -> Option<LocalWaker> {
        self.timers[key.0 as usize].waker.replace(waker)
    }

    /// Removes a timer; its waker, if it still had one, is the caller's to drop.
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<LocalWaker> {
        self.stop_running(key.0);
        let waker = self.timers.remove(key.0 as usize).waker;
        if self.timers.capacity() > KEPT {
            self.give_back();
        }
        waker
    }

    /// Gives memory back after a peak, if there is more than is kept. As it takes time in
    /// proportion to the memory, there are always that many removals before it.
    fn give_back(&mut self) {
        self.removed += 1;
        let (left, capacity) = (self.timers.len(), self.timers.capacity());
        if self.removed < capacity / 2 || left > capacity / 8 {
            return;
        }
        self.removed = 0;
        // What remains may be far back in it. But from now on free entries in front are used first.
        self.timers.shrink_to_fit();
        self.batch.shrink_to(KEPT);
    }

    /// When the wheel must be advanced next: at the earliest deadline or before.
    #[inline]
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.is_behind() {
            return Some(self.instant(self.now));
        }
        self.next_bucket().map(|(tick, _)| self.instant(tick))
    }

    /// [`next_deadline`](Self::next_deadline) by the exact times. It looks at every timer
    /// of a bucket, so it is for a paused clock.
    pub(super) fn next_exact_deadline(&self) -> Option<Instant> {
        let next = self.next_deadline();
        match self.next_bucket() {
            // Those on the top level may be farther away than the level reaches.
            Some((_, list)) if !self.is_behind() && list < BUCKETS * (LEVELS - 1) => {
                let deadlines =
                    self.indices(list).map(|index| self.timers[index as usize].deadline());
                deadlines.min().map(|deadline| saturating_deadline(self.start, deadline.elapsed()))
            }
            _ => next,
        }
    }

    /// Whether timers are due already, or have to be moved before anything else.
    #[inline]
    fn is_behind(&self) -> bool {
        self.lists[DUE].first != NONE || self.emptying.is_some()
    }

    /// Advances the time to `now`, so that timers become due. Moves a bounded number of timers, in
    /// proportion to `limit`, and leaves the others for the next call.
    pub(super) fn advance_to(&mut self, now: Instant, limit: usize) {
        let now = Tick::new(self.elapsed(now), Rounding::Down);
        self.advance(now, limit.saturating_mul(MOVES));
    }

    /// Those whose exact deadlines have come are due, too, though their tick has not. After
    /// [`advance_to`](Self::advance_to); it looks at every timer of a bucket, so it is for a
    /// paused clock.
    pub(super) fn advance_exactly_to(&mut self, now: Instant) {
        let now = Deadline::new(self.elapsed(now));
        let Some((tick, list)) = self.next_bucket() else { return };
        if self.emptying.is_some() || tick > now.tick {
            return;
        }
        let has_come = |index: &u32| self.timers[*index as usize].deadline() <= now;
        let mut come: Vec<_> = self.indices(list).filter(has_come).collect();
        come.sort_by_key(|&index| self.timers[index as usize].deadline());
        for index in come {
            self.unlink(index);
            self.append(index, DUE);
        }
    }

    /// The timers of a list, in its order.
    fn indices(&self, list: usize) -> impl Iterator<Item = u32> {
        let present = |index| Some(index).filter(|&index| index != NONE);
        let first = present(self.lists[list].first);
        std::iter::successors(first, move |&index| present(self.timers[index as usize].next))
    }

    /// Fires at most `limit` of the timers that are due, the earliest first.
    pub(super) fn fire(&mut self, limit: usize, mut fire: impl FnMut(LocalWaker)) {
        for _ in 0..limit {
            let index = self.lists[DUE].first;
            if index == NONE {
                return;
            }
            self.stop_running(index);
            if let Some(waker) = self.timers[index as usize].waker.take() {
                fire(waker);
            }
        }
    }

    /// Moves timers up to tick `target` to the due list. If more than `most` have to be moved, some
    /// are left for the next call.
    fn advance(&mut self, target: Tick, most: usize) {
        let mut moved = 0;
        while moved < most {
            let list = match self.emptying.take() {
                Some(list) => list,
                None => match self.next_bucket().filter(|&(tick, _)| tick <= target) {
                    Some((tick, list)) => {
                        self.now = tick;
                        list
                    }
                    None => {
                        self.now = self.now.max(target);
                        return;
                    }
                },
            };
            // Those of a tick move together, for the sake of their order.
            moved += self.empty_bucket(list, if list < BUCKETS { most } else { most - moved });
            self.emptying = Some(list).filter(|&list| self.lists[list].first != NONE);
        }
    }

    /// The next bucket that time will reach: its first tick, and its list.
    fn next_bucket(&self) -> Option<(Tick, usize)> {
        // A lower level's buckets all lie before the next bucket of a higher one.
        (0..LEVELS).find(|&level| self.occupied[level] != 0).map(|level| {
            let shift = BUCKET_BITS * level as u32;
            let position = (self.now.0 >> shift) % BUCKETS as u64;
            let ahead = self.occupied[level].rotate_right(position as u32).trailing_zeros();
            let bucket = (position as usize + ahead as usize) % BUCKETS;
            let span = (self.now.0 >> shift) + u64::from(ahead);
            (Tick(span << shift).max(self.now), level * BUCKETS + bucket)
        })
    }

    /// Moves timers of a bucket that time has reached to where they belong now, at most `most`, and
    /// returns how many.
    fn empty_bucket(&mut self, list: usize, most: usize) -> usize {
        let mut batch = std::mem::take(&mut self.batch);
        while batch.len() < most && self.lists[list].first != NONE {
            batch.push(self.lists[list].first);
            self.unlink(self.lists[list].first);
        }
        let moved = batch.len();
        if list < BUCKETS {
            // What is due keeps the order of the exact deadlines, which a tick does not tell apart.
            batch.sort_by_key(|&index| self.timers[index as usize].deadline());
            batch.drain(..).for_each(|index| self.append(index, DUE));
        } else {
            batch.drain(..).for_each(|index| self.place(index));
        }
        self.batch = batch;
        moved
    }

    /// Puts a timer that is in no list where its deadline belongs.
    fn start_running(&mut self, index: u32) {
        let timer = &mut self.timers[index as usize];
        if timer.tick == Tick::NEVER {
            timer.place = NEVER as u16;
        } else {
            self.running += 1;
            self.place(index);
        }
    }

    /// Takes a timer out of its list, if it is in one. Then it counts as fired.
    fn stop_running(&mut self, index: u32) {
        let timer = &mut self.timers[index as usize];
        match timer.place as usize {
            FIRED => {}
            NEVER => timer.place = FIRED as u16,
            _ => {
                self.unlink(index);
                self.running -= 1;
            }
        }
    }

    /// Puts a timer that is in no list, and is going to fire, where it belongs.
    fn place(&mut self, index: u32) {
        let now = self.now.0;
        let tick = self.timers[index as usize].tick.0.min(now + REACH);
        if tick < now {
            self.append(index, DUE);
            return;
        }
        // The highest bit in which the tick differs from the present decides the level. On the
        // lowest, the present's own bucket is the next to be emptied.
        let differing = 63 - (tick ^ now | 1).leading_zeros();
        let level = ((differing / BUCKET_BITS) as usize).min(LEVELS - 1);
        let bucket = (tick >> (BUCKET_BITS as usize * level)) as usize % BUCKETS;
        self.occupied[level] |= 1 << bucket;
        self.append(index, level * BUCKETS + bucket);
    }

    fn append(&mut self, index: u32, place: usize) {
        let last = self.lists[place].last;
        let timer = &mut self.timers[index as usize];
        timer.place = place as u16;
        timer.previous = last;
        timer.next = NONE;
        match last {
            NONE => self.lists[place].first = index,
            last => self.timers[last as usize].next = index,
        }
        self.lists[place].last = index;
    }

    fn unlink(&mut self, index: u32) {
        let timer = &mut self.timers[index as usize];
        let (place, previous, next) = (timer.place as usize, timer.previous, timer.next);
        timer.place = FIRED as u16;
        match previous {
            NONE => self.lists[place].first = next,
            previous => self.timers[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[place].last = previous,
            next => self.timers[next as usize].previous = previous,
        }
        if place < DUE && self.lists[place].first == NONE {
            self.occupied[place / BUCKETS] &= !(1 << (place % BUCKETS));
        }
    }

    /// The time from the start to `instant`.
    fn elapsed(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.start)
    }

    fn instant(&self, tick: Tick) -> Instant {
        saturating_deadline(self.start, tick.elapsed())
    }
}

#[cfg(test)]
mod tests;
