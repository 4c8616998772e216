//! Enters that the kernel refuses for lack of memory or room.
//!
//! Nothing is lost by one: what was to be submitted stays queued, and the loop tries again. But a
//! loop that gets nowhere for long must not look idle, so refusals are counted, and one that lasts
//! is reported once.

use std::io;
use std::time::{Duration, Instant};

use crate::error::Incident;

/// How long refusals may go on before they are reported.
const LONG: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Refusals {
    /// When the first of those came that go on.
    since: Option<Instant>,
    is_reported: bool,
    report: Option<Incident>,
}

impl Refusals {
    /// An enter was refused.
    #[cold]
    pub(super) fn note(&mut self, error: &io::Error) {
        self.note_at(error, Instant::now());
    }

    fn note_at(&mut self, error: &io::Error, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let lasted = now.saturating_duration_since(since);
        if lasted >= LONG && !self.is_reported {
            self.is_reported = true;
            self.report = Some(Incident::EnterRefused { lasted, message: error.to_string() });
        }
    }

    /// An enter was not refused.
    #[inline]
    pub(super) fn end(&mut self) {
        if self.since.is_some() {
            (self.since, self.is_reported) = (None, false);
        }
    }

    /// Whether there is something to report.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.report.is_some()
    }

    /// What is to be reported, once.
    pub(super) fn take_report(&mut self) -> Option<Incident> {
        self.report.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::errno::ENOMEM;

    #[test]
    fn refusals_that_last_are_reported_once_until_they_end() {
        let mut refusals = Refusals::default();
        let error = io::Error::from_raw_os_error(ENOMEM);
        let begin = Instant::now();
        let reports = |refusals: &mut Refusals, from: u64| {
            let after = [0, 999, 1_000, 5_000].map(|millis| Duration::from_millis(from + millis));
            after.map(|after| {
                refusals.note_at(&error, begin + after);
                refusals.take_report().is_some()
            })
        };
        assert_eq!(reports(&mut refusals, 0), [false, false, true, false]);
        refusals.end();
        assert_eq!(reports(&mut refusals, 60_000), [false, false, true, false]);
    }
}
