//! What a seed decides.
//!
//! Each decision is a hash of the seed, the kind of fault, and the number of what it is about. So
//! it does not depend on what was decided before, or on when the kernel completes something.

use super::faults::{FaultKind, Faults};

/// How many of 65,536 decisions are for a fault: a seed picks one rate for each kind. Zero leaves a
/// kind out, so that it does not hide what others find.
const RATES: [u64; 4] = [0, 1 << 10, 1 << 13, 1 << 15];

#[derive(Clone)]
pub(super) struct Dice {
    seed: u64,
    faults: Faults,
}

impl Dice {
    pub(super) fn new(faults: Faults) -> Self {
        Self { seed: mixed(faults.seed()), faults }
    }

    /// Whether a fault of this kind is made for the subject of that number.
    pub(super) fn falls(&self, kind: FaultKind, subject: u64) -> bool {
        self.faults.has(kind) && self.hash(kind, 1, subject) & 0xffff < self.rate(kind)
    }

    /// A number below `end`, for the subject of that number.
    pub(super) fn below(&self, end: u64, kind: FaultKind, subject: u64) -> u64 {
        self.hash(kind, 2, subject) % end
    }

    fn rate(&self, kind: FaultKind) -> u64 {
        RATES[(self.hash(kind, 0, 0) % RATES.len() as u64) as usize]
    }

    fn hash(&self, kind: FaultKind, purpose: u64, subject: u64) -> u64 {
        let question = mixed(kind as u64 + 1).wrapping_add(purpose);
        mixed(mixed(self.seed ^ question).wrapping_add(subject))
    }
}

/// The finalizer of SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_same_again_and_another_seed_does_not() {
        let decisions = |seed| {
            let dice = Dice::new(Faults::from_seed(seed));
            let falls = |&kind: &FaultKind| (0..100).filter(move |&n| dice_falls(seed, kind, n));
            let below = (0..100).map(|n| dice.below(10, FaultKind::Delays, n));
            (FaultKind::ALL.iter().flat_map(falls).collect::<Vec<_>>(), below.collect::<Vec<_>>())
        };
        fn dice_falls(seed: u64, kind: FaultKind, subject: u64) -> bool {
            Dice::new(Faults::from_seed(seed)).falls(kind, subject)
        }
        assert_eq!(decisions(7), decisions(7));
        assert_ne!(decisions(7), decisions(8));
    }

    #[test]
    fn every_kind_is_made_by_some_seeds_and_left_out_by_others() {
        for &kind in FaultKind::ALL {
            let makes = |&seed: &u64| {
                let dice = Dice::new(Faults::from_seed(seed));
                (0..1000).any(|subject| dice.falls(kind, subject))
            };
            let count = (0..100).filter(makes).count();
            assert!((50..95).contains(&count), "{kind:?}: {count} of 100 seeds");
        }
    }

    #[test]
    fn a_kind_that_is_excluded_is_never_made() {
        let faults = |seed| Faults::from_seed(seed).without(&[FaultKind::Delays]);
        let falls = |seed, subject| Dice::new(faults(seed)).falls(FaultKind::Delays, subject);
        assert!((0..100).all(|seed| (0..20).all(|subject| !falls(seed, subject))));
    }
}
