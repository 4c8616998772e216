//! The times that requests wait for.

use std::collections::BTreeSet;

use super::requests::Token;
use crate::sys::clock::monotonic_nanos;

/// The longest that a timeout lasts: about 146 years, so that sums do not overflow.
const AGES: u64 = u64::MAX / 4;

/// Times in nanoseconds of the monotonic clock, in order.
///
/// A tree, as most are removed before they come: in a heap, those of connects that have succeeded
/// would stay for as long as their limit.
#[derive(Default)]
pub(super) struct Timeouts(BTreeSet<(u64, Token)>);

impl Timeouts {
    pub(super) fn insert(&mut self, time: u64, token: Token) {
        self.0.insert((time, token));
    }

    pub(super) fn remove(&mut self, time: u64, token: Token) {
        self.0.remove(&(time, token));
    }

    /// The earliest time.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.first().map(|&(time, _)| time)
    }

    /// Takes out the earliest, if its time has come.
    pub(super) fn pop_due(&mut self) -> Option<Token> {
        let time = self.next()?;
        (time <= monotonic_nanos()).then(|| self.0.pop_first().map(|(_, token)| token))?
    }
}

/// The time in `nanos` nanoseconds.
pub(super) fn time_after(nanos: u64) -> u64 {
    monotonic_nanos() + nanos.min(AGES)
}

/// The length of a timespec in nanoseconds; `None` if it is null or invalid.
///
/// # Safety
///
/// The pointer is null, or valid for reads.
pub(super) unsafe fn nanos(timespec: *const io_uring::types::Timespec) -> Option<u64> {
    // The crate's type hides its fields: it is the kernel's `struct __kernel_timespec`.
    let timespec = timespec.cast::<[i64; 2]>();
    // SAFETY: the caller's promise.
    let [seconds, nanos] = unsafe { timespec.as_ref().copied() }?;
    let seconds = u64::try_from(seconds).ok()?;
    let nanos = u64::try_from(nanos).ok().filter(|&nanos| nanos < 1_000_000_000)?;
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanos).min(AGES))
}
