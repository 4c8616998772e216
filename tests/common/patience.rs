//! One multiplier for every time bound of the tests, for machines that are slower than most.
//!
//! `ANNULUS_PATIENCE=12 cargo test` lets everything take twelve times as long before it counts as
//! hanging or late. The default is 1. Only upper bounds are multiplied: a test that asserts that
//! something takes at least some time says so in absolute terms.

use std::env;
use std::sync::LazyLock;
use std::time::Duration;

static MULTIPLIER: LazyLock<u32> = LazyLock::new(|| match env::var("ANNULUS_PATIENCE") {
    Err(_) => 1,
    Ok(text) => match text.parse() {
        Ok(multiplier @ 1..=1000) => multiplier,
        _ => panic!("ANNULUS_PATIENCE is {text:?}: expected a whole number from 1 to 1000"),
    },
});

/// How much longer than by default everything may take.
pub(crate) fn multiplier() -> u32 {
    *MULTIPLIER
}

/// An upper bound, multiplied.
pub(crate) fn patient(bound: Duration) -> Duration {
    bound * multiplier()
}

/// How long anything may take that is due soon: a minute, multiplied. Nothing is expected to take
/// that long.
pub(crate) fn limit() -> Duration {
    patient(Duration::from_secs(60))
}
