//! The wheel against a sorted map, and at its limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::task::WakeCount;

struct Bench {
    wheel: Wheel,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self { wheel: Wheel::new(start), start }
    }

    fn start_timer(&mut self, after: Duration) -> (TimerKey, Arc<WakeCount>) {
        let counter = Arc::new(WakeCount::default());
        let key = self
            .wheel
            .insert(self.start + after, LocalWaker::new(&Waker::from(Arc::clone(&counter))));
        (key, counter)
    }

    /// Advances the time to `at`, and returns how many timers fired.
    fn expire(&mut self, at: Duration) -> usize {
        self.expire_some(at, usize::MAX)
    }

    /// Like [`expire`](Self::expire), with at most `limit` timers.
    fn expire_some(&mut self, at: Duration, limit: usize) -> usize {
        self.wheel.advance_to(self.start + at, limit);
        let mut fired = 0;
        self.wheel.fire(limit, |waker| {
            fired += 1;
            waker.wake();
        });
        fired
    }

    /// [`expire`](Self::expire) by the exact times.
    fn expire_exactly(&mut self, at: Duration) -> usize {
        self.wheel.advance_to(self.start + at, usize::MAX);
        self.wheel.advance_exactly_to(self.start + at);
        let mut fired = 0;
        self.wheel.fire(usize::MAX, |_| fired += 1);
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
        assert_eq!(counter.count(), 1);
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
        bench.expire_some(micros(9_000), 1);
        order.extend(keys.iter().position(|&key| {
            bench.wheel.timers.contains(key.0 as usize) && bench.wheel.has_fired(key)
        }));
        bench.wheel.remove(keys[*order.last().unwrap()]);
    }
    assert_eq!(order, [1, 4, 2, 0, 3]);
}

/// They are on a higher level, in the first bucket of a lower one, and in between.
#[test]
fn timers_of_one_tick_fire_in_the_order_of_their_deadlines() {
    let mut bench = Bench::new();
    let tick = Tick(1).elapsed().as_nanos() as u64;
    for start in [3 * tick, 64 * tick, 4096 * tick] {
        for back in 1..100 {
            bench.start_timer(Duration::from_nanos(start - back * 100));
        }
    }
    let mut last = Deadline::new(Duration::ZERO);
    while !bench.wheel.is_empty() {
        bench.wheel.advance(Tick::new(Duration::from_secs(1), Rounding::Down), usize::MAX);
        let first = bench.wheel.lists[DUE].first as usize;
        let deadline = bench.wheel.timers[first].deadline();
        assert!(deadline >= last, "{deadline:?} after {last:?}");
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
    let now = micros(1_000);
    assert_eq!(bench.expire_some(now, 4), 4);
    assert!(bench.wheel.next_deadline().unwrap() <= bench.start + now);
    assert_eq!(bench.expire_some(now, 100), 6);
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
fn the_wheel_agrees_with_a_sorted_map() {
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
    let tick = Tick(1).elapsed().as_nanos() as u64;
    for serial in 0..if cfg!(miri) { 300 } else { 50_000 } {
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
                    assert!(fired || deadline + tick > now, "fired late");
                    if fired {
                        bench.wheel.remove(key);
                    }
                    !fired
                });
            }
        }
        assert_eq!(bench.wheel.len(), model.len());
        if let (Some(&(first, _)), Some(next)) = (model.keys().next(), bench.wheel.next_deadline())
        {
            let first = bench.start + Duration::from_nanos(first + tick);
            assert!(next <= first, "the wait would be too long");
        }
    }
}

#[test]
fn a_deadline_centuries_away_fires_when_it_has_come_and_not_before() {
    let century = Duration::from_secs(100 * 365 * 86_400);
    let mut bench = Bench::new();
    for centuries in 1..=8 {
        let deadline = century * centuries;
        bench.start_timer(deadline);
        assert_eq!(bench.expire(deadline - Duration::from_nanos(1)), 0, "early: {centuries}");
        let next = bench.wheel.next_deadline().unwrap();
        assert!(next >= bench.start + deadline - micros(66), "{centuries}");
        assert_eq!(bench.expire(next - bench.start), 1, "late: {centuries}");
        // Hours pass there as they do here.
        bench.start_timer(deadline + Duration::from_secs(3600));
        assert_eq!(bench.expire(deadline + Duration::from_secs(3599)), 0);
        assert_eq!(bench.expire(deadline + Duration::from_secs(3601)), 1);
    }
}

#[test]
fn a_deadline_that_stands_for_never_does_not_fire_and_is_nothing_to_wait_for() {
    let mut bench = Bench::new();
    let far = Duration::from_secs(1 << 62);
    let (key, _) = bench.start_timer(far);
    assert!(bench.wheel.is_empty() && bench.wheel.next_deadline().is_none());
    assert_eq!(bench.expire(far), 0);
    assert!(!bench.wheel.has_fired(key) && bench.wheel.len() == 1);
    assert!(bench.wheel.remove(key).is_some());
    assert_eq!((bench.wheel.is_empty(), bench.wheel.len()), (true, 0));
}

/// Also where the moves of one turn are used up between them.
#[test]
fn timers_of_one_tick_fire_in_order_however_few_may_move_at_once() {
    let mut bench = Bench::new();
    let mut deadlines: Vec<_> = (0..300_u64).map(|n| micros(1_000_000 + n * 10)).collect();
    // In no order: 300 and 77 have no divisor in common.
    for nth in 0..300 {
        bench.start_timer(deadlines[nth * 77 % 300]);
    }
    deadlines.reverse();
    while let Some(deadline) = deadlines.pop() {
        while !bench.wheel.is_behind() || bench.wheel.lists[DUE].first == NONE {
            bench.wheel.advance_to(bench.start + micros(2_000_000), 2);
        }
        let first = bench.wheel.lists[DUE].first;
        assert_eq!(bench.wheel.timers[first as usize].deadline(), Deadline::new(deadline));
        bench.wheel.remove(TimerKey(first));
    }
}

/// Neither those that come down to a lower level, nor those that become due.
#[test]
fn a_turn_moves_a_bounded_number_of_timers() {
    const LIMIT: usize = 2;
    let count = if cfg!(miri) { 60 } else { 3000 };
    for after in [Duration::from_millis(1), Duration::from_secs(1), Duration::from_secs(3600)] {
        let mut bench = Bench::new();
        let keys: Vec<_> = (0..count).map(|_| bench.start_timer(after).0).collect();
        let places = |bench: &Bench| -> Vec<_> {
            keys.iter().map(|key| bench.wheel.timers[key.0 as usize].place).collect()
        };
        let mut before = places(&bench);
        let mut fired = 0;
        let mut turns = 0;
        while fired < count {
            let now = after + micros(66);
            let next = bench.wheel.next_deadline().unwrap();
            assert!(next <= bench.start + now, "there is more to do at once");
            fired += bench.expire_some(now, LIMIT);
            let after = places(&bench);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            assert!(moved <= (2 * MOVES + 1) * LIMIT, "{moved} at once");
            before = after;
            turns += 1;
        }
        assert!(turns <= count / LIMIT * 2, "{turns} turns for {count} timers");
    }
}

#[test]
fn timers_that_are_started_and_removed_amid_a_move_are_neither_early_nor_late() {
    let mut bench = Bench::new();
    let far = Duration::from_secs(1);
    let first: Vec<_> = (0..40).map(|_| bench.start_timer(far).0).collect();
    let second = far + micros(400);
    for _ in 0..40 {
        bench.start_timer(second);
    }
    let mut fired = 0;
    while fired == 0 {
        fired += bench.expire_some(far + micros(66), 1);
    }
    assert!(bench.wheel.emptying.is_some(), "it is amid a move");
    let third = far + micros(200);
    let (between, _) = bench.start_timer(third);
    let waiting = first.iter().filter(|&&key| !bench.wheel.has_fired(key)).copied();
    let waiting: Vec<_> = waiting.collect();
    waiting.iter().take(20).for_each(|&key| drop(bench.wheel.remove(key)));
    assert_eq!(bench.expire(far + micros(132)), 19);
    assert!(!bench.wheel.has_fired(between));
    assert_eq!(bench.expire(third + micros(66)), 1);
    assert!(bench.wheel.has_fired(between));
    assert_eq!(bench.expire(second + micros(66)), 40);
    assert!(bench.wheel.is_empty());
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there, and has nothing unsafe")]
fn the_memory_of_a_peak_is_given_back() {
    let peak = 100_000;
    let mut bench = Bench::new();
    // One that stays, before the peak; one that stays, at its end.
    bench.start_timer(Duration::from_secs(3600));
    let mut keys: Vec<_> = (0..peak).map(|_| bench.start_timer(micros(500)).0).collect();
    let (last, _) = bench.start_timer(Duration::from_secs(3600));
    assert!(bench.wheel.timers.capacity() > peak);
    bench.expire(micros(1000));
    // In no order.
    for nth in (0..peak).rev() {
        bench.wheel.remove(keys.swap_remove(nth * 7 % (nth + 1)));
    }
    bench.wheel.remove(last);
    // Life goes on, as it did before the peak.
    for _ in 0..4 * peak {
        let (key, _) = bench.start_timer(micros(500));
        bench.wheel.remove(key);
    }
    assert!(bench.wheel.timers.capacity() <= KEPT, "{}", bench.wheel.timers.capacity());
    assert!(bench.wheel.batch.capacity() <= KEPT, "{}", bench.wheel.batch.capacity());
    assert_eq!(bench.wheel.len(), 1);
}

#[test]
fn a_timer_can_be_moved_to_an_earlier_and_to_a_later_deadline_also_after_it_fired() {
    let mut bench = Bench::new();
    let (key, counter) = bench.start_timer(micros(10_000));
    bench.wheel.restart(key, bench.start + micros(100));
    assert_eq!(bench.expire(micros(200)), 1);
    assert!(bench.wheel.has_fired(key));
    // Its waker is used up: the next one who asks leaves another.
    bench.wheel.restart(key, bench.start + micros(5000));
    assert!(!bench.wheel.has_fired(key) && !bench.wheel.is_empty());
    bench.wheel.replace_waker(key, LocalWaker::new(&Waker::from(Arc::clone(&counter))));
    bench.wheel.restart(key, bench.start + micros(20_000));
    assert_eq!(bench.expire(micros(10_000)), 0);
    assert_eq!(bench.expire(micros(20_066)), 1);
    assert_eq!(counter.count(), 2);
    bench.wheel.restart(key, bench.start + Duration::from_secs(1 << 62));
    assert!(bench.wheel.is_empty() && !bench.wheel.has_fired(key));
    bench.wheel.restart(key, bench.start);
    assert_eq!(bench.expire(micros(30_000)), 0, "no task waits for it");
    assert!(bench.wheel.has_fired(key));
    bench.wheel.remove(key);
    assert_eq!(bench.wheel.len(), 0);
}

/// As they are on a paused clock.
#[test]
fn timers_fire_at_their_exact_deadlines_if_told_to() {
    let mut bench = Bench::new();
    let near = [0, 1, 40_000, 40_001, 65_535, 65_536, 65_537, 4_194_304, 4_194_305];
    let far = [3, 400, 50_000, 6_000_000, 3_000_000_000].map(|secs| secs * 1_000_000_000 + 7);
    let deadlines = near.into_iter().chain(far).map(Duration::from_nanos);
    for deadline in deadlines.clone().rev() {
        bench.start_timer(deadline);
        bench.start_timer(deadline);
    }
    for deadline in deadlines {
        // On the top level it is not known exactly until it has come nearer.
        while bench.wheel.next_exact_deadline().unwrap() < bench.start + deadline {
            let next = bench.wheel.next_exact_deadline().unwrap() - bench.start;
            assert!(deadline.as_secs() > 1 << 20, "{next:?} before {deadline:?}");
            assert_eq!(bench.expire_exactly(next), 0, "early: {next:?}");
        }
        assert_eq!(bench.wheel.next_exact_deadline(), Some(bench.start + deadline));
        assert_eq!(bench.expire_exactly(deadline), 2, "{deadline:?}");
    }
    assert!(bench.wheel.is_empty() && bench.wheel.next_exact_deadline().is_none());
}
