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

/// How much better each value is than the reference's of the same round: above one is better. Rounds
/// that one of the two lacks are left out.
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
    // Nothing is so many times better than nothing.
    Spread::of(ratios.filter(|ratio| ratio.is_finite()))
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
    fn rounds_without_a_pair_are_left_out() {
        let values = [Some(1.0), None, Some(3.0)];
        let reference = [Some(1.0), Some(1.0), None];
        assert_eq!(ratios(&values, &reference, Better::Higher).unwrap().maximum, 1.0);
        assert_eq!(ratios(&[None], &[Some(1.0)], Better::Higher), None);
        assert_eq!(ratios(&[Some(0.0)], &[Some(1.0)], Better::Lower), None);
    }
}
