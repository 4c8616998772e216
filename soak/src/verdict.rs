//! Whether a run has passed.
//!
//! **Memory**: the first third is the warm-up. The median of resident memory in the last third may
//! exceed that of the second by [`MARGIN`] and no more: a leak grows, while what an allocator keeps
//! for later levels off. **Everything else** must be back to what it was, exactly.

use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use annulus::Metrics;

use crate::sample::{Sample, mib};

/// By how much memory may grow from the second third to the last: this part of it, ...
const PART: f64 = 0.02;

/// ... and these bytes.
const MARGIN: u64 = 2 << 20;

/// A shorter run says nothing about memory: what is in flight varies by more than the margin from
/// sample to sample, and the warm-up takes minutes.
const SHORTEST: Duration = Duration::from_secs(10 * 60);

/// The fewest samples of a third that say something about memory.
const FEWEST: usize = 6;

/// What memory has done, in words, and whether that is a failure.
pub(crate) fn memory(samples: &[Sample]) -> Result<String, String> {
    let third = samples.len() / 3;
    let length = samples.last().map_or(Duration::ZERO, |last| last.at);
    if length < SHORTEST || third < FEWEST {
        let count = samples.len();
        return Ok(format!("not judged: {count} samples of {} s are too few", length.as_secs()));
    }
    let median = |range: Range<usize>| {
        let mut resident: Vec<u64> = samples[range].iter().map(|it| it.resident).collect();
        resident.sort_unstable();
        resident[resident.len() / 2]
    };
    let (second, last) = (median(third..2 * third), median(2 * third..samples.len()));
    let most = second + MARGIN + (second as f64 * PART) as u64;
    let text = format!(
        "median of the second third {:.1} MiB, of the last {:.1} MiB, which may be {:.1} MiB",
        mib(second),
        mib(last),
        mib(most)
    );
    if last > most { Err(text) } else { Ok(text) }
}

/// What a runtime still holds at its end that it did not at its beginning.
pub(crate) fn held(before: &Metrics, after: &Metrics) -> Option<String> {
    let mut text = String::new();
    let mut gauge = |name: &str, before: u64, after: u64| {
        if after > before {
            let _ = write!(text, "{name} {after} instead of {before}; ");
        }
    };
    gauge("in_kernel", before.in_kernel, after.in_kernel);
    gauge("queued", before.queued, after.queued);
    gauge("timers", before.timers as u64, after.timers as u64);
    gauge(
        "fallback_buffer_bytes",
        before.fallback_buffer_bytes as u64,
        after.fallback_buffer_bytes as u64,
    );
    (!text.is_empty()).then(|| text.trim_end_matches("; ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |n| Sample {
            at: Duration::from_secs(n * 11),
            resident: resident(n),
            descriptors: 10,
            threads: 2,
            tasks: 0,
            metrics: Metrics::default(),
            operations: 0,
            bytes: 0,
            failures: 0,
        };
        (0..60).map(sample).collect()
    }

    #[test]
    fn memory_that_grows_only_in_the_warm_up_is_flat() {
        assert!(memory(&samples(|n| (n.min(15) + 100) << 20)).is_ok());
        let noisy = samples(|n| (100 + n % 7) << 20);
        assert!(memory(&noisy).is_ok());
    }

    #[test]
    fn memory_that_grows_to_the_end_is_a_leak() {
        assert!(memory(&samples(|n| (100 << 20) + n * (300 << 10))).is_err());
    }

    #[test]
    fn memory_of_less_than_ten_minutes_is_not_judged() {
        let grown = samples(|n| (100 + n) << 20);
        assert!(memory(&grown).is_err());
        assert!(memory(&grown[..54]).unwrap().starts_with("not judged"));
    }

    #[test]
    fn what_is_still_in_flight_at_the_end_is_named() {
        let before = Metrics::default();
        assert_eq!(held(&before, &before), None);
        let mut after = before;
        after.in_kernel = 2;
        assert_eq!(held(&before, &after), Some("in_kernel 2 instead of 0".to_owned()));
    }
}
