//! Random decisions, from the seed of the run.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

/// A generator that is used through a shared reference.
#[derive(Debug)]
pub(crate) struct Chance(RefCell<Rng>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(RefCell::new(Rng::with_seed(seed)))
    }

    /// The generator of a shard, whose numbers are those of no other one.
    pub(crate) fn of_shard(seed: u64, shard: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        (0..shard).for_each(|_| rng = rng.fork());
        Self(RefCell::new(rng.fork()))
    }

    /// A generator of its own, whose numbers depend only on how many were drawn here before.
    pub(crate) fn fork(&self) -> Self {
        Self(RefCell::new(self.0.borrow_mut().fork()))
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.borrow_mut().u64(..)
    }

    /// A number from zero to below `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.0.borrow_mut().usize(..end)
    }

    pub(crate) fn between(&self, range: Range<usize>) -> usize {
        self.0.borrow_mut().usize(range)
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
        end.mul_f64(self.0.borrow_mut().f64())
    }
}
