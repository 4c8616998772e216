//! Random decisions, from the seed of the run, and the place of who takes them.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use crate::places::Place;

/// A generator that is used through a shared reference.
#[derive(Debug)]
pub(crate) struct Chance {
    rng: RefCell<Rng>,
    place: Place,
}

impl Chance {
    #[track_caller]
    pub(crate) fn new(whose: impl Into<String>, seed: u64) -> Self {
        Self::of(Rng::with_seed(seed), whose)
    }

    /// The generator of a shard, whose numbers are those of no other one.
    #[track_caller]
    pub(crate) fn of_shard(seed: u64, shard: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        (0..shard).for_each(|_| rng = rng.fork());
        Self::of(rng.fork(), format!("shard {shard}"))
    }

    #[track_caller]
    fn of(rng: Rng, whose: impl Into<String>) -> Self {
        Self { rng: RefCell::new(rng), place: Place::new(whose) }
    }

    /// A generator of its own, whose numbers depend only on how many were drawn here before.
    #[track_caller]
    pub(crate) fn fork(&self) -> Self {
        Self::of(self.rng.borrow_mut().fork(), self.place.whose())
    }

    /// The same, of a part of this one's owner.
    #[track_caller]
    pub(crate) fn fork_as(&self, part: &str) -> Self {
        Self::of(self.rng.borrow_mut().fork(), format!("{}, {part}", self.place.whose()))
    }

    /// Whose decisions they are.
    pub(crate) fn whose(&self) -> &str {
        self.place.whose()
    }

    /// The caller's line has been reached.
    #[track_caller]
    pub(crate) fn here(&self) {
        self.place.here();
    }

    pub(crate) fn seed(&self) -> u64 {
        self.rng.borrow_mut().u64(..)
    }

    /// A number from zero to below `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.rng.borrow_mut().usize(..end)
    }

    pub(crate) fn between(&self, range: Range<usize>) -> usize {
        self.rng.borrow_mut().usize(range)
    }

    /// True in one of `count` cases.
    pub(crate) fn one_in(&self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T>(&self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    /// A size from one to `most`, of which small ones are as likely as large ones.
    pub(crate) fn size(&self, most: usize) -> usize {
        let bits = self.between(1..most.ilog2() as usize + 2);
        self.between(1..1 << bits).min(most)
    }

    /// A time that is shorter than `end`.
    pub(crate) fn shorter_than(&self, end: Duration) -> Duration {
        end.mul_f64(self.rng.borrow_mut().f64())
    }
}
