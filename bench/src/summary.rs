//! Many rounds in three numbers.

use serde::{Deserialize, Serialize};

/// The median of some values and how far they reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) minimum: f64,
    pub(crate) maximum: f64,
}

impl Spread {
    /// `None` if there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (minimum, maximum) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), minimum, maximum })
    }
}

/// Which values are the good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// How much better each value is than the reference's of the same round: above one is better.
/// Rounds that one of the two lacks are left out.
pub(crate) fn ratios(
    values: &[Option<f64>],
    reference: &[Option<f64>],
    better: Better,
) -> Option<Spread> {
    let pairs = values.iter().zip(reference);
    let pairs = pairs.filter_map(|(value, other)| Some(((*value)?, (*other)?)));
    let ratios = pairs.map(|(value, other)| match better {
        Better::Higher => value / other,
        Better::Lower => other / value,
    });
    // Beside nothing there is no ratio.
    Spread::of(ratios.filter(|ratio| ratio.is_finite()))
}

/// In how many rounds one was ahead of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Score {
    pub(crate) ahead: usize,
    /// Rounds in which the two differed.
    pub(crate) rounds: usize,
}

/// Counts the rounds in which `one` was better than `other`. Rounds that one of the two lacks are
/// left out, and so are those in which they are equal.
pub(crate) fn score(one: &[Option<f64>], other: &[Option<f64>], better: Better) -> Option<Score> {
    let pairs = one.iter().zip(other).filter_map(|(one, other)| Some(((*one)?, (*other)?)));
    let mut score = Score { ahead: 0, rounds: 0 };
    for (one, other) in pairs.filter(|(one, other)| one != other) {
        score.rounds += 1;
        score.ahead += usize::from((one > other) == (better == Better::Higher));
    }
    (score.rounds > 0).then_some(score)
}

impl Score {
    /// The sign test: how likely a score is, to either side, that is at least so one-sided, if the
    /// two are equally good.
    pub(crate) fn chance(self) -> f64 {
        let least = self.ahead.min(self.rounds - self.ahead);
        // The terms of the binomial distribution, each from the one before.
        let mut term = 0.5_f64.powi(self.rounds as i32);
        let mut tail = term;
        for successes in 1..=least {
            term *= (self.rounds - successes + 1) as f64 / successes as f64;
            tail += term;
        }
        (2.0 * tail).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        let spread = Spread::of([5.0, 1.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.0, minimum: 1.0, maximum: 5.0 });
        assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // Both slow down alike from round to round: the ratio does not notice.
        let values = [Some(200.0), Some(20.0), Some(2.0)];
        let reference = [Some(100.0), Some(10.0), Some(1.0)];
        let spread = ratios(&values, &reference, Better::Higher).unwrap();
        assert_eq!(spread, Spread { median: 2.0, minimum: 2.0, maximum: 2.0 });
        let spread = ratios(&values, &reference, Better::Lower).unwrap();
        assert_eq!(spread.median, 0.5);
    }

    #[test]
    fn the_chance_of_a_score_is_that_of_a_coin() {
        let chance = |ahead, rounds| Score { ahead, rounds }.chance();
        assert_eq!(chance(5, 5), 2.0 / 32.0);
        assert_eq!(chance(0, 5), 2.0 / 32.0);
        assert_eq!(chance(4, 5), 12.0 / 32.0);
        assert_eq!(chance(2, 4), 1.0);
        assert_eq!(chance(9, 10), 22.0 / 1024.0);
        assert!(chance(1000, 1000) < 1e-100);
    }

    #[test]
    fn a_score_counts_the_rounds_in_which_two_differ() {
        let one = [Some(2.0), Some(1.0), Some(3.0), None, Some(5.0)];
        let other = [Some(1.0), Some(1.0), Some(4.0), Some(1.0), Some(4.0)];
        let expected = |ahead| Some(Score { ahead, rounds: 3 });
        assert_eq!(score(&one, &other, Better::Higher), expected(2));
        assert_eq!(score(&one, &other, Better::Lower), expected(1));
        assert_eq!(score(&[None], &[Some(1.0)], Better::Higher), None);
        assert_eq!(score(&[Some(1.0)], &[Some(1.0)], Better::Higher), None);
    }

    #[test]
    fn rounds_without_a_pair_are_left_out() {
        let values = [Some(1.0), None, Some(3.0)];
        let reference = [Some(1.0), Some(1.0), None];
        assert_eq!(ratios(&values, &reference, Better::Higher).unwrap().maximum, 1.0);
        assert_eq!(ratios(&[None], &[Some(1.0)], Better::Higher), None);
        assert_eq!(ratios(&[Some(0.0)], &[Some(1.0)], Better::Lower), None);
    }
}
