//! The deadlines of this thread: a hierarchical timing wheel.
//!
//! Time is cut into ticks of about 65 µs, counted from the driver's start. Level 0 has a slot for
//! each of the next 64 ticks, level 1 one for each of the next 64 spans of 64 ticks, and so on:
//! seven levels reach nine years ahead. A timer goes to the lowest level on which its tick and the
//! present differ, so starting and stopping one costs the same however many there are. When time
//! reaches a slot of a higher level, its timers move down (each at most six times in its life).
//!
//! A deadline is rounded up to its tick, so no timer fires early. Timers of one tick fire in the
//! order of their exact deadlines.
//!
//! Timers are nodes of doubly linked lists in one slab: one list a slot, one for those that are due
//! but did not fit in the turn's allowance, none for those that have fired and wait to be removed.

use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::task::LocalWaker;

/// A tick is 2^16 nanoseconds.
const TICK_BITS: u32 = 16;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 7;
/// The farthest that a timer can be placed ahead; later ones are placed again when it comes. One
/// slot short of a full turn of the top level, so that it never meets the present's own slot.
const REACH: u64 = (SLOTS as u64 - 1) << (SLOT_BITS as usize * (LEVELS - 1));
/// The list of timers that are due.
const DUE: usize = SLOTS * LEVELS;
/// The place of timers that stand in no list: they have fired.
const FIRED: usize = DUE + 1;
/// No node.
const NONE: u32 = u32::MAX;

/// Names a timer until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey(u32);

struct Timer {
    /// Nanoseconds from the wheel's start.
    deadline: u64,
    waker: Option<LocalWaker>,
    /// The index of the list that this stands in, or [`FIRED`].
    place: u16,
    previous: u32,
    next: u32,
}

impl Timer {
    /// The first tick at which the deadline has passed.
    fn tick(&self) -> u64 {
        self.deadline.div_ceil(1 << TICK_BITS)
    }
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

pub(super) struct Wheel {
    start: Instant,
    /// The tick up to which timers have been moved to the due list.
    now: u64,
    timers: Slab<Timer>,
    lists: Box<[List; DUE + 1]>,
    /// For each level, a bit for each slot that holds timers.
    occupied: [u64; LEVELS],
    /// How many timers have not fired.
    running: usize,
    /// The timers of the slot that is being emptied; kept so that it is not allocated anew.
    batch: Vec<u32>,
}

impl Wheel {
    pub(super) fn new(start: Instant) -> Self {
        let empty = List { first: NONE, last: NONE };
        Self {
            start,
            now: 0,
            timers: Slab::new(),
            lists: Box::new([empty; DUE + 1]),
            occupied: [0; LEVELS],
            running: 0,
            batch: Vec::new(),
        }
    }

    /// How many timers there are, fired ones that were not removed included.
    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no timer is going to fire.
    pub(super) fn is_empty(&self) -> bool {
        self.running == 0
    }

    /// Adds a timer that wakes `waker` once `deadline` has passed.
    pub(super) fn insert(&mut self, deadline: Instant, waker: LocalWaker) -> TimerKey {
        let deadline = self.nanoseconds(deadline);
        let timer =
            Timer { deadline, waker: Some(waker), place: FIRED as u16, previous: NONE, next: NONE };
        let index = u32::try_from(self.timers.insert(timer)).ok().filter(|&index| index != NONE);
        let index = index.expect("fewer than 2^32 timers");
        self.running += 1;
        self.place(index);
        TimerKey(index)
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
        if !self.has_fired(key) {
            self.unlink(key.0);
            self.running -= 1;
        }
        self.timers.remove(key.0 as usize).waker
    }

    /// When [`expire`](Self::expire) should be called next: at the earliest deadline or before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.lists[DUE].first != NONE {
            return Some(self.instant(self.now));
        }
        self.next_slot().map(|(tick, ..)| self.instant(tick))
    }

    /// Fires at most `limit` of the timers whose deadline has passed, the earliest first.
    pub(super) fn expire(&mut self, now: Instant, limit: usize, mut fire: impl FnMut(LocalWaker)) {
        // Rounded down, as deadlines are rounded up: what fires has passed.
        self.advance(self.nanoseconds(now) >> TICK_BITS);
        for _ in 0..limit {
            let index = self.lists[DUE].first;
            if index == NONE {
                return;
            }
            self.unlink(index);
            self.running -= 1;
            if let Some(waker) = self.timers[index as usize].waker.take() {
                fire(waker);
            }
        }
    }

    /// Moves every timer up to tick `target` to the due list.
    fn advance(&mut self, target: u64) {
        while let Some((tick, level, slot)) = self.next_slot().filter(|&(tick, ..)| tick <= target)
        {
            self.now = tick;
            self.empty_slot(level, slot);
        }
        self.now = self.now.max(target);
    }

    /// The next slot that time will reach: its first tick, its level and its number.
    fn next_slot(&self) -> Option<(u64, usize, usize)> {
        // A lower level's slots all lie before the next slot of a higher one.
        (0..LEVELS).find(|&level| self.occupied[level] != 0).map(|level| {
            let shift = SLOT_BITS * level as u32;
            let position = (self.now >> shift) % SLOTS as u64;
            let ahead = self.occupied[level].rotate_right(position as u32).trailing_zeros();
            let slot = (position as usize + ahead as usize) % SLOTS;
            let span = (self.now >> shift) + u64::from(ahead);
            ((span << shift).max(self.now), level, slot)
        })
    }

    /// Moves the timers of a slot that time has reached to where they belong now.
    fn empty_slot(&mut self, level: usize, slot: usize) {
        let mut batch = std::mem::take(&mut self.batch);
        let list = level * SLOTS + slot;
        while self.lists[list].first != NONE {
            batch.push(self.lists[list].first);
            self.unlink(self.lists[list].first);
        }
        // What is due keeps the order of the exact deadlines, which a tick does not tell apart.
        batch.retain(|&index| {
            let due = self.timers[index as usize].tick() <= self.now;
            if !due {
                self.place(index);
            }
            due
        });
        batch.sort_by_key(|&index| self.timers[index as usize].deadline);
        for index in batch.drain(..) {
            self.append(index, DUE);
        }
        self.batch = batch;
    }

    /// Puts a timer that stands in no list where it belongs.
    fn place(&mut self, index: u32) {
        let tick = self.timers[index as usize].tick().min(self.now + REACH);
        if tick <= self.now {
            self.append(index, DUE);
            return;
        }
        // The highest bit in which the tick differs from the present decides the level.
        let differing = 63 - (tick ^ self.now).leading_zeros();
        let level = ((differing / SLOT_BITS) as usize).min(LEVELS - 1);
        let slot = (tick >> (SLOT_BITS as usize * level)) as usize % SLOTS;
        self.occupied[level] |= 1 << slot;
        self.append(index, level * SLOTS + slot);
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
            self.occupied[place / SLOTS] &= !(1 << (place % SLOTS));
        }
    }

    /// Nanoseconds from the start to `instant`; the far future is as far as the number goes.
    fn nanoseconds(&self, instant: Instant) -> u64 {
        let elapsed = instant.saturating_duration_since(self.start);
        // Two bits less than it holds, so that sums and roundings cannot overflow.
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX >> 2)
    }

    fn instant(&self, tick: u64) -> Instant {
        self.start + Duration::from_nanos(tick << TICK_BITS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts its wakes.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Bench {
        wheel: Wheel,
        start: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            Self { wheel: Wheel::new(start), start }
        }

        fn start_timer(&mut self, after: Duration) -> (TimerKey, Arc<Counter>) {
            let counter = Arc::new(Counter::default());
            let key = self
                .wheel
                .insert(self.start + after, LocalWaker::new(&Waker::from(Arc::clone(&counter))));
            (key, counter)
        }

        /// Lets time come to `at` and says how many timers fired.
        fn expire(&mut self, at: Duration) -> usize {
            let mut fired = 0;
            self.wheel.expire(self.start + at, usize::MAX, |waker| {
                fired += 1;
                waker.wake();
            });
            fired
        }
    }

    fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn a_timer_fires_after_its_deadline_never_before() {
        for after in [1, 65, 66, 1_000, 4_200, 300_000, 20_000_000, 3_600_000_000] {
            let mut bench = Bench::new();
            let (key, counter) = bench.start_timer(micros(after));
            assert_eq!(bench.expire(micros(after) - Duration::from_nanos(1)), 0, "early: {after}");
            assert!(!bench.wheel.has_fired(key));
            assert_eq!(bench.expire(micros(after + 66)), 1, "late: {after}");
            assert!(bench.wheel.has_fired(key));
            assert_eq!(counter.0.load(Ordering::Relaxed), 1);
            bench.wheel.remove(key);
            assert_eq!(bench.wheel.len(), 0);
        }
    }

    #[test]
    fn a_removed_timer_leaves_nothing_behind() {
        let mut bench = Bench::new();
        let (key, counter) = bench.start_timer(micros(500));
        assert!(bench.wheel.remove(key).is_some());
        assert!(bench.wheel.is_empty() && bench.wheel.next_deadline().is_none());
        assert_eq!(bench.expire(micros(10_000)), 0);
        assert_eq!(Arc::strong_count(&counter), 1);
    }

    #[test]
    fn timers_fire_in_the_order_of_their_deadlines() {
        let mut bench = Bench::new();
        let keys: Vec<_> = [70, 10, 40, 5_000, 20].map(|n| bench.start_timer(micros(n)).0).into();
        let mut order = Vec::new();
        for _ in 0..keys.len() {
            bench.wheel.expire(bench.start + micros(9_000), 1, drop);
            order.extend(keys.iter().position(|&key| {
                bench.wheel.timers.contains(key.0 as usize) && bench.wheel.has_fired(key)
            }));
            bench.wheel.remove(keys[*order.last().unwrap()]);
        }
        assert_eq!(order, [1, 4, 2, 0, 3]);
    }

    /// They stand on a higher level, in the first slot of a lower one, and in between.
    #[test]
    fn timers_of_one_tick_fire_in_the_order_of_their_deadlines() {
        let mut bench = Bench::new();
        let tick = 1 << TICK_BITS;
        for start in [3 * tick, 64 * tick, 4096 * tick] {
            for back in 1..100 {
                bench.start_timer(Duration::from_nanos(start - back * 100));
            }
        }
        let mut last = 0;
        while !bench.wheel.is_empty() {
            bench.wheel.expire(bench.start + Duration::from_secs(1), 0, drop);
            let first = bench.wheel.lists[DUE].first as usize;
            let deadline = bench.wheel.timers[first].deadline;
            assert!(deadline >= last, "{deadline} after {last}");
            last = deadline;
            bench.wheel.remove(TimerKey(first as u32));
        }
    }

    #[test]
    fn a_limit_leaves_the_rest_due_at_once() {
        let mut bench = Bench::new();
        for _ in 0..10 {
            bench.start_timer(micros(100));
        }
        let now = bench.start + micros(1_000);
        let mut fired = 0;
        bench.wheel.expire(now, 4, |_| fired += 1);
        assert_eq!(fired, 4);
        assert!(bench.wheel.next_deadline().unwrap() <= now);
        bench.wheel.expire(now, 100, |_| fired += 1);
        assert_eq!(fired, 10);
    }

    #[test]
    fn a_deadline_beyond_the_wheels_reach_is_kept() {
        let mut bench = Bench::new();
        let century = Duration::from_secs(100 * 365 * 86_400);
        let (key, _) = bench.start_timer(century);
        assert_eq!(bench.expire(century / 2), 0);
        assert!(!bench.wheel.has_fired(key));
        assert_eq!(bench.expire(century + micros(66)), 1);
    }

    /// Thousands of random insertions, removals and steps in time, against a sorted map.
    #[test]
    fn it_agrees_with_a_sorted_map() {
        let mut bench = Bench::new();
        let mut model: BTreeMap<(u64, u32), TimerKey> = BTreeMap::new();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut now = 0;
        for serial in 0..50_000 {
            match next(10) {
                0..=5 => {
                    let spread = 1 << next(40);
                    let deadline = now + next(spread);
                    let (key, _) = bench.start_timer(Duration::from_nanos(deadline));
                    model.insert((deadline, serial), key);
                }
                6..=7 if !model.is_empty() => {
                    let nth = next(model.len() as u64) as usize;
                    let place = *model.keys().nth(nth).unwrap();
                    bench.wheel.remove(model.remove(&place).unwrap());
                }
                _ => {
                    now += next(1 << 22);
                    bench.expire(Duration::from_nanos(now));
                    model.retain(|&(deadline, _), &mut key| {
                        let fired = bench.wheel.has_fired(key);
                        assert!(!fired || deadline <= now, "fired early");
                        assert!(fired || deadline + (1 << TICK_BITS) > now, "fired late");
                        if fired {
                            bench.wheel.remove(key);
                        }
                        !fired
                    });
                }
            }
            assert_eq!(bench.wheel.len(), model.len());
            if let (Some(&(first, _)), Some(next)) =
                (model.keys().next(), bench.wheel.next_deadline())
            {
                let first = bench.start + Duration::from_nanos(first + (1 << TICK_BITS));
                assert!(next <= first, "the wait would be too long");
            }
        }
    }
}
