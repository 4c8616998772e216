//! What happens when a shard fails.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What happens when a shard fails.
///
/// It fails when its closure panics or returns a failure
/// ([`ShardOutcome`](crate::shards::ShardOutcome)).
///
/// # Example
///
/// ```
/// use annulus::Shards;
/// use annulus::shards::{OnFailure, RestartOptions};
///
/// let restart = OnFailure::Restart(RestartOptions::new());
/// let all = Shards::builder().count(2).on_failure(restart).run(async |shard| shard.index())?;
/// assert_eq!(all, [0, 1]);
/// # Ok::<(), annulus::shards::ShardsError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// All shards stop; this is the default.
    ///
    /// Their [`Shutdown`](crate::Shutdown) is requested. Closures that have not returned within
    /// [`stop_timeout`](crate::shards::ShardsBuilder::stop_timeout) are cancelled. The shard that
    /// has failed runs its other tasks until all have ended, so that those that wait for its
    /// answers get them.
    #[default]
    Stop,
    /// The shard restarts, on its thread and with a new runtime. The others continue.
    ///
    /// Its tasks and connections end with the old runtime, also the connections that its listeners
    /// had not accepted; what waits for one of its tasks gets
    /// [`JoinError::Ended`](crate::task::JoinError::Ended). Thread-local variables keep their
    /// values. A [`Handle`](crate::Handle) of the shard refuses calls while there is no runtime,
    /// and reaches the new one afterwards, also while the shard waits before its closure is called
    /// again. A [stop](crate::Handle::stop) by that handle ends the shard at any moment, also
    /// between two runtimes: its closure is not called again and counts as cancelled, the others
    /// continue. Each restart is an [`Incident::ShardRestarted`](crate::Incident::ShardRestarted).
    ///
    /// After too many restarts, or when the shutdown has been requested, a failure stops all shards
    /// as with [`Stop`](Self::Stop).
    Restart(RestartOptions),
}

/// How often a shard restarts, and how long it waits before.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
/// use annulus::Shards;
/// use annulus::shards::{OnFailure, RestartOptions};
///
/// let restarts = RestartOptions::new()
///     .backoff(Duration::from_millis(10), Duration::from_secs(1))
///     .max_restarts(5, Duration::from_secs(30));
/// Shards::builder().on_failure(OnFailure::Restart(restarts)).run(async |_| {
///     // ...
/// })?;
/// # Ok::<(), annulus::shards::ShardsError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RestartOptions {
    first_delay: Duration,
    max_delay: Duration,
    max_restarts: usize,
    period: Duration,
}

impl RestartOptions {
    /// Returns the default options: a delay of 100 ms at first and of 5 seconds at most, and at
    /// most 10 restarts a minute.
    pub fn new() -> Self {
        Self {
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
            max_restarts: 10,
            period: Duration::from_secs(60),
        }
    }

    /// Sets the delay before a restart: `first`, then twice as long for each further restart within
    /// the period of [`max_restarts`](Self::max_restarts), up to `max`.
    pub fn backoff(mut self, first: Duration, max: Duration) -> Self {
        (self.first_delay, self.max_delay) = (first, max);
        self
    }

    /// Limits the restarts of one shard within a period.
    #[doc(alias = "StartLimitBurst")]
    pub fn max_restarts(mut self, restarts: usize, period: Duration) -> Self {
        (self.max_restarts, self.period) = (restarts, period);
        self
    }
}

impl Default for RestartOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The restarts of one shard.
pub(super) struct Restarts {
    options: Option<RestartOptions>,
    /// When it has restarted within the period.
    recent: VecDeque<Instant>,
}

impl Restarts {
    pub(super) fn new(on_failure: &OnFailure) -> Self {
        let options = match on_failure {
            OnFailure::Stop => None,
            OnFailure::Restart(options) => Some(options.clone()),
        };
        Self { options, recent: VecDeque::new() }
    }

    /// The delay before the next restart, which is counted; `None` if there is to be none.
    pub(super) fn next_delay(&mut self, now: Instant) -> Option<Duration> {
        let options = self.options.as_ref()?;
        while self.recent.front().is_some_and(|&then| now - then >= options.period) {
            self.recent.pop_front();
        }
        if self.recent.len() >= options.max_restarts {
            return None;
        }
        let doublings = self.recent.len().min(31);
        self.recent.push_back(now);
        Some(options.first_delay.saturating_mul(1 << doublings).min(options.max_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarts(max: usize) -> Restarts {
        let options = RestartOptions::new()
            .backoff(Duration::from_millis(100), Duration::from_millis(300))
            .max_restarts(max, Duration::from_secs(10));
        Restarts::new(&OnFailure::Restart(options))
    }

    #[test]
    fn delays_double_up_to_the_longest_and_the_restarts_of_a_period_are_limited() {
        let (mut restarts, now) = (restarts(4), Instant::now());
        let delays: Vec<_> = (0..5).map(|_| restarts.next_delay(now)).collect();
        let expected = [Some(100), Some(200), Some(300), Some(300), None];
        assert_eq!(delays, expected.map(|delay| delay.map(Duration::from_millis)));
    }

    #[test]
    fn restarts_before_the_period_do_not_count() {
        let (mut restarts, now) = (restarts(1), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(restarts.next_delay(now), Some(Duration::from_millis(100)));
        assert_eq!(restarts.next_delay(now + 9 * second), None);
        assert_eq!(restarts.next_delay(now + 10 * second), Some(Duration::from_millis(100)));
    }

    #[test]
    fn many_restarts_do_not_overflow_the_delay() {
        let options = RestartOptions::new()
            .backoff(Duration::MAX / 2, Duration::MAX)
            .max_restarts(100, Duration::from_secs(10));
        let mut restarts = Restarts::new(&OnFailure::Restart(options));
        let now = Instant::now();
        let last = (0..100).map(|_| restarts.next_delay(now)).last().unwrap();
        assert_eq!(last, Some(Duration::MAX));
    }

    #[test]
    fn a_shard_that_is_to_stop_never_restarts() {
        assert_eq!(Restarts::new(&OnFailure::Stop).next_delay(Instant::now()), None);
    }
}
